package check

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	strict "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the plain manifests anew")

const plain = "../latchkey.yaml"

// objects are what a manifest has.
type objects struct {
	deployment apps.Deployment
	service    core.Service
	budget     policy.PodDisruptionBudget
	network    networking.NetworkPolicy
	monitor    monitoring.ServiceMonitor
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load("../chart")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render renders the chart as helm template does, and checks values against the schema.
func render(t *testing.T, values string) (string, error) {
	t.Helper()
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	c := load(t)
	release := chartutil.ReleaseOptions{Name: "latchkey", Namespace: "latchkey", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, given, release, chartutil.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return "", err
	}
	var manifest strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); text != "" && strings.HasSuffix(name, ".yaml") {
			fmt.Fprintf(&manifest, "---\n%s\n", text)
		}
	}
	return manifest.String(), nil
}

// decode reads a manifest strictly: a field that Kubernetes does not know, a name in
// another case and a name that is there twice are errors.
func decode(t *testing.T, manifest string) (all objects) {
	t.Helper()
	into := map[string]any{
		"apps/v1 Deployment":                      &all.deployment,
		"v1 Service":                              &all.service,
		"policy/v1 PodDisruptionBudget":           &all.budget,
		"networking.k8s.io/v1 NetworkPolicy":      &all.network,
		"monitoring.coreos.com/v1 ServiceMonitor": &all.monitor,
	}
	for _, document := range strings.Split(manifest, "---\n") {
		if strings.TrimSpace(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(document, "")) == "" {
			continue
		}
		text, err := yaml.YAMLToJSONStrict([]byte(document))
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		var kind struct{ APIVersion, Kind string }
		if err := json.Unmarshal(text, &kind); err != nil {
			t.Fatal(err)
		}
		object := into[kind.APIVersion+" "+kind.Kind]
		if object == nil {
			t.Fatalf("%s %s is unexpected", kind.APIVersion, kind.Kind)
		}
		wrong, err := strict.UnmarshalStrict(text, object)
		if err != nil || len(wrong) > 0 {
			t.Errorf("%s: %v %v", kind.Kind, err, wrong)
		}
	}
	return all
}

// Guarantees that the plain manifests are the chart with its default values.
func TestPlainManifests(t *testing.T) {
	rendered, err := render(t, "")
	if err != nil {
		t.Fatal(err)
	}
	want := "# Latchkey on Kubernetes: the chart in this folder with its default values, in the namespace latchkey. docs/kubernetes.md\n" +
		"# says what to change. Written by go test in deploy/kubernetes/check, with -update.\n" + rendered
	if *update {
		if err := os.WriteFile(plain, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, []byte(want)) {
		t.Error("latchkey.yaml differs from the chart: run go test ./... -update in deploy/kubernetes/check")
	}
}

// Guarantees what an operator expects of the manifests: two pods, never none of them
// during an eviction or an upgrade, on different machines; probes; no root and no file
// that can be written; secrets by reference only; metrics for Prometheus alone.
func TestManifests(t *testing.T) {
	rendered, err := render(t, "")
	if err != nil {
		t.Fatal(err)
	}
	all := decode(t, rendered)
	pod := all.deployment.Spec.Template
	container := pod.Spec.Containers[0]
	for what, holds := range map[string]bool{
		"two pods":                     *all.deployment.Spec.Replicas == 2,
		"no pod missing in an upgrade": all.deployment.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() == 0,
		"one pod stays":                all.budget.Spec.MinAvailable.IntValue() == 1,
		"spread over zones and nodes":  len(pod.Spec.TopologySpreadConstraints) == 2,
		"a startup probe":              container.StartupProbe.HTTPGet.Path == "/healthz",
		"a liveness probe":             container.LivenessProbe.HTTPGet.Path == "/healthz",
		"a readiness probe":            container.ReadinessProbe.HTTPGet.Path == "/readyz",
		"time to end":                  *pod.Spec.TerminationGracePeriodSeconds == 40,
		"no root":                      *pod.Spec.SecurityContext.RunAsNonRoot && *pod.Spec.SecurityContext.RunAsUser == 65532,
		"no file that can be written":  *container.SecurityContext.ReadOnlyRootFilesystem,
		"no more rights":               !*container.SecurityContext.AllowPrivilegeEscalation,
		"no capabilities":              slices.Equal(container.SecurityContext.Capabilities.Drop, []core.Capability{"ALL"}),
		"no access to the cluster":     !*pod.Spec.AutomountServiceAccountToken,
		"a job called latchkey":        all.monitor.Spec.JobLabel == "app.kubernetes.io/name",
		"clients from everywhere":      len(all.network.Spec.Ingress[0].From) == 0,
		"metrics from one place":       len(all.network.Spec.Ingress[1].From) == 1,
	} {
		if !holds {
			t.Errorf("the manifests lack: %s", what)
		}
	}
	for name, selector := range map[string]map[string]string{
		"deployment": all.deployment.Spec.Selector.MatchLabels, "service": all.service.Spec.Selector,
		"budget": all.budget.Spec.Selector.MatchLabels, "network policy": all.network.Spec.PodSelector.MatchLabels,
	} {
		for label, value := range selector {
			if pod.Labels[label] != value {
				t.Errorf("the %s selects %s=%s, which the pods lack", name, label, value)
			}
		}
	}
	for label, value := range all.monitor.Spec.Selector.MatchLabels {
		if all.service.Labels[label] != value {
			t.Errorf("the monitor selects %s=%s, which the service lacks", label, value)
		}
	}
	ports := map[intstr.IntOrString]bool{}
	for _, p := range container.Ports {
		ports[intstr.FromString(p.Name)] = true
	}
	for _, p := range all.service.Spec.Ports {
		if !ports[p.TargetPort] {
			t.Errorf("the service leads to the port %v, which the pods lack", p.TargetPort)
		}
	}
	env := map[string]core.EnvVar{}
	for _, v := range container.Env {
		if _, twice := env[v.Name]; twice {
			t.Errorf("%s is set twice", v.Name)
		}
		env[v.Name] = v
	}
	for _, name := range []string{"LATCHKEY_DATABASE", "LATCHKEY_MASTER_KEY"} {
		if v := env[name]; v.Value != "" || v.ValueFrom == nil || v.ValueFrom.SecretKeyRef.Name != "latchkey" {
			t.Errorf("%s does not come from the secret", name)
		}
	}
}

// Guarantees that every value of the chart can be set, and changes what it is about.
func TestEveryValue(t *testing.T) {
	defaults, err := render(t, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]string{
		"replicas":                         "replicas: 3",
		"image.repository":                 "image: {repository: registry.example.com/latchkey}",
		"image.tag":                        "image: {tag: next}",
		"image.pullPolicy":                 "image: {pullPolicy: Always}",
		"image.pullSecrets":                "image: {pullSecrets: [registry]}",
		"publicUrl":                        "publicUrl: https://keys.example.org",
		"trustedProxies":                   "trustedProxies: 10.0.0.0/8",
		"secret.name":                      "secret: {name: other}",
		"secret.databaseKey":               "secret: {databaseKey: dsn}",
		"secret.masterKeyKey":              "secret: {masterKeyKey: key}",
		"secret.smtpUrlKey":                "secret: {smtpUrlKey: smtp}",
		"databaseTls":                      "databaseTls: postgres",
		"settings":                         "settings: {LATCHKEY_SIGNUP: invite, LATCHKEY_JOURNAL: /journal/file}",
		"resources":                        "resources: {limits: {cpu: 2}}",
		"podAnnotations":                   "podAnnotations: {a: b}",
		"nodeSelector":                     "nodeSelector: {disk: ssd}",
		"tolerations":                      "tolerations: [{key: dedicated, operator: Exists}]",
		"podDisruptionBudget.minAvailable": "podDisruptionBudget: {minAvailable: 50%}",
		"networkPolicy.enabled":            "networkPolicy: {enabled: false}",
		"networkPolicy.clients":            "networkPolicy: {clients: [{ipBlock: {cidr: 10.0.0.0/8}}]}",
		"networkPolicy.metrics":            "networkPolicy: {metrics: []}",
		"networkPolicy.egress":             "networkPolicy: {egress: [{ports: [{port: 5432}]}]}",
		"serviceMonitor.enabled":           "serviceMonitor: {enabled: false}",
		"serviceMonitor.interval":          "serviceMonitor: {interval: 30s}",
		"serviceMonitor.labels":            "serviceMonitor: {labels: {release: prometheus}}",
	} {
		rendered, err := render(t, values)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		decode(t, rendered)
		if rendered == defaults {
			t.Errorf("%s changes nothing", name)
		}
	}
}

// Guarantees that mistakes in values are refused before anything is installed.
func TestWrongValuesAreRefused(t *testing.T) {
	for _, values := range []string{
		"replica: 3", "replicas: 0", "replicas: two", "publicUrl: http://keys.example.com", "image: {pullPolicy: always}",
		"secret: {name: ''}", "secret: {masterKey: x}", "settings: {LATCHKEY_MASTER_KEY: x}", "settings: {PATH: x}",
		"settings: {LATCHKEY_USAGE_DAYS: 400}", "serviceMonitor: {interval: often}", "networkPolicy: {from: []}",
	} {
		if _, err := render(t, values); err == nil {
			t.Errorf("%s is taken", values)
		}
	}
}

// names returns the names of all values, with dots.
func names(prefix string, values map[string]any) (all []string) {
	for name, value := range values {
		if group, ok := value.(map[string]any); ok && len(group) > 0 && name != "resources" {
			all = append(all, names(prefix+name+".", group)...)
		} else {
			all = append(all, prefix+name)
		}
	}
	slices.Sort(all)
	return all
}

// Guarantees that docs/kubernetes.md describes every value, with its default, and no
// other.
func TestValuesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\|").FindAllSubmatch(page, -1) {
		documented = append(documented, string(row[1]))
	}
	slices.Sort(documented)
	if want := names("", load(t).Values); !slices.Equal(documented, want) {
		t.Errorf("docs/kubernetes.md has the values\n%v, the chart\n%v", documented, want)
	}
}
