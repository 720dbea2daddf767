//go:build operations

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
)

// slower is what the durations of the alarms are divided by, so that a fault need not
// last for minutes. promtool tests the durations themselves.
const slower = 20

// thresholds are those of the alarms that are lengths of time, and what they are here. A
// node writes uses every ten seconds, so 120 s cannot become 6. It tries an email again
// after 5 and 25 seconds and then much later, so 600 s become 10.
var thresholds = strings.NewReplacer(
	`oldest_seconds{job="latchkey"} > 600`, `oldest_seconds{job="latchkey"} > 10`,
	`flush_lag_seconds{job="latchkey"} > 120`, `flush_lag_seconds{job="latchkey"} > 15`,
)

// report adds a line to the table of alarms or panels, and to the results.
func (w *watched) report(of *[]string, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	show(w.T, "%s", line)
	w.Log(line)
	table.mu.Lock()
	defer table.mu.Unlock()
	*of = append(*of, line)
}

// What a run at full size leaves in docs/measured.
var alarms, panels []string

// writeAlarms leaves the tables in docs/measured.
func writeAlarms(t *testing.T) {
	t.Helper()
	if !*servertest.Full {
		return
	}
	commit, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	must(t, err)
	var text bytes.Buffer
	fmt.Fprintf(&text, "Alarms in their faults, with their durations divided by %d: make alarms\ncommit %s, %s/%s, %d cores for six "+
		"nodes, PostgreSQL, Prometheus and the load; %v of health before them: no alarm\n\n", slower, bytes.TrimSpace(commit), runtime.GOOS,
		runtime.GOARCH, runtime.NumCPU(), health())
	for _, part := range []struct {
		head  string
		lines []string
	}{{"fault\talarm\tfires after\tends after", alarms}, {"panel\tseries\tlargest value", panels}} {
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, part.head)
		for _, line := range part.lines {
			fmt.Fprintln(table, line)
		}
		must(t, table.Flush())
		text.WriteString("\n")
	}
	must(t, os.WriteFile("../docs/measured/alarms.txt", text.Bytes(), 0o644))
}

// watched is a Prometheus that watches nodes by the rules of deploy/prometheus.
type watched struct {
	*testing.T

	url   string
	nodes []*servertest.Server
}

// freePort returns a port on which no one listens.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	return port
}

// startWatched starts nodes, with admin listeners that keep their address when a node
// starts again.
func startWatched(t *testing.T, database string, env ...string) *watched {
	t.Helper()
	w := &watched{T: t}
	for range 2 {
		admin := "LATCHKEY_ADMIN_LISTEN=127.0.0.1:" + freePort(t)
		w.nodes = append(w.nodes, servertest.Start(t, database, append(slices.Clone(env), admin)...))
	}
	return w
}

// watch starts Prometheus for the nodes.
func (w *watched) watch() {
	w.Helper()
	dir := w.TempDir()
	rules, err := os.ReadFile("../deploy/prometheus/rules.yaml")
	must(w, err)
	duration := regexp.MustCompile(`(for: |\[)(\d+[smh])`)
	faster := duration.ReplaceAllFunc(rules, func(found []byte) []byte {
		parts := duration.FindSubmatch(found)
		d, err := time.ParseDuration(string(parts[2]))
		must(w, err)
		return fmt.Appendf(nil, "%s%dms", parts[1], (d / slower).Milliseconds())
	})
	must(w, os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(thresholds.Replace(string(faster))), 0o644))
	targets := make([]string, len(w.nodes))
	for i, n := range w.nodes {
		targets[i] = strconv.Quote(strings.TrimPrefix(n.Admin, "http://"))
	}
	config, address := filepath.Join(dir, "prometheus.yaml"), "127.0.0.1:"+freePort(w)
	must(w, os.WriteFile(config, fmt.Appendf(nil, "global: {scrape_interval: 500ms, evaluation_interval: 500ms}\n"+
		"rule_files: [rules.yaml]\nscrape_configs:\n- {job_name: latchkey, static_configs: [{targets: [%s]}]}\n",
		strings.Join(targets, ",")), 0o644))
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=error")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	must(w, cmd.Start())
	w.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	w.url = "http://" + address
	eventually(w, 30*time.Second, "Prometheus reaches all nodes", func() bool { return len(w.query(`up == 1`)) == len(w.nodes) })
}

// get asks Prometheus. It leaves data as it is while Prometheus does not answer.
func (w *watched) get(path string, values url.Values, data any) {
	w.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(w.Context()), http.MethodGet, w.url+path+"?"+values.Encode(), nil)
	must(w, err)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	body := struct{ Data any }{data}
	switch answer.StatusCode {
	case http.StatusOK:
		must(w, json.NewDecoder(answer.Body).Decode(&body))
	case http.StatusBadRequest:
		w.Fatalf("Prometheus does not understand %v", values)
	}
}

// query returns the values of an expression.
func (w *watched) query(expression string) (values []string) {
	w.Helper()
	var data struct{ Result []struct{ Value [2]any } }
	w.get("/api/v1/query", url.Values{"query": {expression}}, &data)
	for _, r := range data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values
}

// firing returns the names of the alarms that fire.
func (w *watched) firing() (names []string) {
	w.Helper()
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	w.get("/api/v1/alerts", nil, &data)
	for _, a := range data.Alerts {
		if a.State == "firing" {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// quiet fails if an alarm fires in a time of health.
func (w *watched) quiet(d time.Duration) {
	w.Helper()
	for began := time.Now(); time.Since(began) < d; time.Sleep(250 * time.Millisecond) {
		if names := w.firing(); len(names) > 0 {
			w.Errorf("in health, after %v, these alarms fire: %v", time.Since(began).Round(time.Second), names)
			return
		}
	}
	show(w.T, "%v of health: no alarm", d)
}

// fault makes a fault, waits until each of the alarms fires, ends the fault, and waits
// until none fires any more.
func (w *watched) fault(what string, alarms []string, begin func() (end func())) {
	w.Helper()
	began := time.Now()
	end := begin()
	fired := map[string]time.Duration{}
	eventually(w, 90*time.Second, what+": the alarms fire "+strings.Join(alarms, ", "), func() bool {
		for _, name := range w.firing() {
			if fired[name] == 0 {
				fired[name] = time.Since(began)
			}
		}
		return !slices.ContainsFunc(alarms, func(name string) bool { return fired[name] == 0 })
	})
	if w.Failed() {
		w.Logf("%s: these fired: %v", what, fired)
	}
	end()
	ended, over := time.Now(), map[string]time.Duration{}
	eventually(w, 3*time.Minute, what+": the alarms end", func() bool {
		now := w.firing()
		for name := range fired {
			if over[name] == 0 && !slices.Contains(now, name) {
				over[name] = time.Since(ended)
			}
		}
		return len(now) == 0
	})
	for _, name := range alarms {
		w.report(&alarms, "%s\t%s\t%.1f s\t%.1f s", what, name, fired[name].Seconds(), over[name].Seconds())
	}
}
