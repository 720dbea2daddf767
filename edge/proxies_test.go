package edge_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/edge"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// scene is an instance and an echo, which proxies are put between.
type scene struct {
	latchkey, echo *httptest.Server
	project        domain.ProjectID
	key, other     string
	lacks          string
	documents      *service.Project
	now            func() time.Time
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{latchkey: httptest.NewUnstartedServer(nil), echo: httptest.NewServer(edge.Echo())}
	at := "http://" + s.latchkey.Listener.Addr().String()
	w := servicetest.New(t, storetest.SQLite(t), service.Options{Log: slog.New(slog.DiscardHandler), PublicURL: at})
	serve, err := api.New(w.App, api.Config{Log: slog.New(slog.DiscardHandler), PublicURL: at})
	must(t, err)
	s.latchkey.Config.Handler, s.now = serve, w.Now
	s.latchkey.Start()
	t.Cleanup(s.latchkey.Close)
	t.Cleanup(s.echo.Close)
	_, ada := w.Person("ada@example.com")
	organization := w.NewOrganization(ada, "Acme")
	s.documents = w.NewProject(organization, "Documents")
	own, err := s.documents.Get()
	must(t, err)
	s.project = own.ID
	s.key = s.newKey(t, s.documents, "documents:read")
	s.lacks = s.newKey(t, s.documents, "documents:write")
	s.other = s.newKey(t, w.NewProject(organization, "Another"), "documents:read")
	return s
}

func (s *scene) newKey(t *testing.T, in *service.Project, scopes ...domain.Scope) string {
	t.Helper()
	_, token, err := in.CreateKey(t.Context(), domain.KeySpec{Name: "a key", Scopes: scopes})
	must(t, err)
	return token.Reveal()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// block returns the configuration in a language of docs/proxies.md.
func block(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/proxies.md")
	must(t, err)
	found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatalf("the page has no block of %s", language)
	}
	return string(found[1])
}

// proxy starts a proxy with a configuration of the page, and returns its address.
func (s *scene) proxy(t *testing.T, config string) *url.URL {
	t.Helper()
	folder := t.TempDir()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	must(t, listener.Close())
	fill := func(text string) string {
		return strings.NewReplacer(
			"127.0.0.1:8080", s.latchkey.Listener.Addr().String(),
			"127.0.0.1:8081", s.echo.Listener.Addr().String(),
			"prj_01k00000000000000000000000", string(s.project),
			"listen 8000", "listen "+address, // nginx
			"bind :8000", "bind "+address, // HAProxy
			":8000 {", "http://"+address+" {", // Caddy
			"/etc/haproxy", folder,
			"/tmp/cache", filepath.Join(folder, "cache"),
		).Replace(text)
	}
	write := func(name, text string) string {
		file := filepath.Join(folder, name)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	ctx := context.WithoutCancel(t.Context()) // it ends after the test, by a signal
	var command *exec.Cmd
	switch {
	case strings.Contains(config, "auth_request"):
		var paths strings.Builder
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			fmt.Fprintf(&paths, "%s_temp_path %s;\n", kind, folder)
		}
		const whole = "daemon off;\nuser root;\npid %s/pid;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n"
		file := write("nginx.conf", fmt.Sprintf(whole, folder, &paths, fill(config)))
		command = exec.CommandContext(ctx, "/usr/sbin/nginx", "-e", "stderr", "-c", file)
	case strings.Contains(config, "forward_auth"):
		whole := "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n" + fill(config)
		file := write("Caddyfile", whole)
		command = exec.CommandContext(ctx, "caddy", "run", "--adapter", "caddyfile", "--config", file)
		command.Env = append(os.Environ(), "HOME="+folder)
	default:
		script := strings.Replace(block(t, "lua"), "timeout = 2000", "timeout = 60000", 1) // the machine may be busy
		write("latchkey.lua", script)
		command = exec.CommandContext(ctx, "/usr/sbin/haproxy", "-q", "-db", "-f", write("haproxy.cfg", fill(config)))
	}
	var said strings.Builder
	command.Stdout, command.Stderr = &said, &said
	must(t, command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		if err := <-ended; t.Failed() {
			t.Logf("the proxy ended: %v, and said:\n%s", err, said.String())
		}
	})
	for {
		if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
			c.Close()
			return &url.URL{Scheme: "http", Host: address, Path: "/documents/echo"}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the proxy ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// attack returns the cases that were not good, by name.
func (s *scene) attack(t *testing.T, at *url.URL, revoked string) map[string]edge.Result {
	t.Helper()
	test := edge.Test{
		URL: at, Issuer: s.latchkey.URL + service.ProjectPath(s.project), Key: s.key, OtherKey: s.other, NoScopeKey: s.lacks, Now: s.now,
		RevokeKey: revoked,
	}
	bad := map[string]edge.Result{}
	must(t, test.Run(t.Context(), func(r edge.Result) {
		if r.Verdict == edge.Hole || r.Verdict == edge.Broken {
			bad[r.Name] = r
		}
	}))
	return bad
}

// Guarantees that no case of the corpus finds a hole in the configurations of
// docs/proxies.md, that all statuses get through, and that an outage is 503.
func TestDocumentedProxiesHaveNoHoles(t *testing.T) {
	t.Parallel()
	for _, language := range []string{"nginx", "caddy", "haproxy"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			at := s.proxy(t, block(t, language))
			for name, r := range s.attack(t, at, s.newKey(t, s.documents, "documents:read", domain.KeysWrite)) {
				t.Errorf("%s: %s: %s", r.Verdict, name, r.Why)
			}
			s.latchkey.Close()
			stopped := edge.Test{URL: at, Key: s.key, Stopped: true}
			must(t, stopped.Run(t.Context(), func(r edge.Result) {
				if r.Verdict != edge.Safe || r.Why != "503" {
					t.Errorf("%s: %s: %s", r.Verdict, r.Name, r.Why)
				}
			}))
		})
	}
}

// brokenProxies are configurations of the page with one thing wrong, and a case that
// shows it.
var brokenProxies = map[string]struct {
	language string
	change   []string // what is replaced by what
	hole     string
	why      string
}{
	"nginx forgets a header": {
		"nginx", []string{"proxy_set_header X-Latchkey-Scope       $latchkey_scope;", ""},
		"spoofed X-Latchkey-Scope", "what the client wrote",
	},
	"nginx passes the key on": {
		"nginx", []string{`proxy_set_header X-Api-Key              "";`, ""}, "a good key in X-Api-Key", "the key itself",
	},
	"nginx asks by getCurrentProject, which any tenant may": {
		"nginx", []string{"v1/projects/prj_01k00000000000000000000000/forward-auth/documents:read", "v1/project"},
		"a key of another project", "reaches the API",
	},
	"nginx keeps what Latchkey said": {
		"nginx", []string{
			"upstream latchkey", "proxy_cache_path /tmp/cache keys_zone=answers:1m; upstream latchkey",
			"proxy_pass http://latchkey", "proxy_cache answers; proxy_cache_key documents; proxy_cache_valid 200 1m; " +
				"proxy_ignore_headers Cache-Control Vary; proxy_pass http://latchkey",
		},
		"no key", "reaches the API",
	},
	"Caddy lets other spellings through": {
		"caddy", []string{"request_header -*Latchkey*", ""}, "spoofed X_Latchkey_Key", "some programs take for X-Latchkey-Key",
	},
	"Caddy lets a client remove the token": {
		"caddy", []string{"request_header -Connection", ""}, "Connection: Authorization", "0 Authorization headers",
	},
	"HAProxy lets other spellings through": {
		"haproxy", []string{"http-request del-header latchkey -m sub", ""},
		"spoofed X.Latchkey.Scope", "some programs take for X-Latchkey-Scope",
	},
	"HAProxy lets preflights through": {
		"haproxy", []string{"forward-auth/documents:read", "forward-auth/documents:read unless METH_OPTIONS"},
		"no key, OPTIONS", "reaches the API",
	},
	"HAProxy asks only for some paths": {
		"haproxy", []string{"forward-auth/documents:read", "forward-auth/documents:read if { path_beg /documents }"},
		"no key, /%64ocuments/echo", "reaches the API",
	},
}

// Guarantees that the corpus finds the hole of each of these, by a case that names it.
func TestBrokenProxiesHaveHoles(t *testing.T) {
	t.Parallel()
	for name, c := range brokenProxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			config := block(t, c.language)
			changed := strings.NewReplacer(c.change...).Replace(config)
			if changed == config {
				t.Fatal("the page has changed: there is nothing to break")
			}
			bad := s.attack(t, s.proxy(t, changed), "")
			if got := bad[c.hole]; got.Verdict != edge.Hole || !strings.Contains(got.Why, c.why) {
				t.Errorf("got %+v; all: %v", got, bad)
			}
		})
	}
}

// A proxy that sends the client's path behind the route, as Envoy does, has a hole when
// something between it and Latchkey resolves dot segments. One that does not has none:
// Latchkey refuses such paths.
func TestARewritingHopIsAHole(t *testing.T) {
	t.Parallel()
	for name, resolve := range map[string]func(string) string{"with": path.Clean, "without": func(p string) string { return p }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			api, err := url.Parse(s.echo.URL)
			must(t, err)
			onward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(api) }}
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked := r.Clone(r.Context())
				asked.RequestURI, asked.Body, asked.ContentLength = "", nil, 0
				asked.URL = &url.URL{Scheme: "http", Host: s.latchkey.Listener.Addr().String()}
				asked.URL.Opaque = resolve(service.ProjectPath(s.project) + "/forward-auth/documents:read" + r.URL.Path)
				answer, err := http.DefaultTransport.RoundTrip(asked)
				if err != nil {
					http.Error(w, "", http.StatusServiceUnavailable)
					return
				}
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					w.WriteHeader(answer.StatusCode)
					return
				}
				for name := range r.Header {
					if strings.Contains(strings.ToLower(name), "latchkey") {
						delete(r.Header, name)
					}
				}
				r.Header.Del("Connection")
				r.Header.Del("X-Api-Key")
				for _, name := range []string{"Authorization", "X-Latchkey-Key", "X-Latchkey-External-Id", "X-Latchkey-Scope"} {
					r.Header[name] = answer.Header[name]
				}
				onward.ServeHTTP(w, r)
			}))
			t.Cleanup(proxy.Close)
			at, err := url.Parse(proxy.URL + "/documents/echo")
			must(t, err)
			bad := s.attack(t, at, "")
			hole := bad["a key that lacks the scope, /../-/documents/echo"].Verdict == edge.Hole
			if want := name == "with"; hole != want || !want && len(bad) > 0 {
				t.Errorf("got a hole: %v, want %v; all: %v", hole, want, bad)
			}
		})
	}
}
