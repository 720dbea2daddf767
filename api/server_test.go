package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
)

// Unknown paths, wrong methods and OPTIONS are answered by the router, alike for
// everybody: no credential is looked at for them.
func TestTheRouterAnswersFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.signUp(t, "ada")
	for name, as := range map[string]credential{
		"anonymous": anonymous, "user": ada.as, "bad key": byKey("bad"), "stale": byUser("stale"),
		"ambiguous": headers("Authorization", "Bearer a", "Authorization", "Bearer b"),
	} {
		for _, path := range []string{"/", "/v1", "/v1/", "/v2/project", "/v1/project/", "//v1/project", "/v1/Project", "/v1/%70roject",
			"/v1/project%00", "/v1/projects"} {
			w.call(t, "GET", path, as, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
		}
		for path, allow := range map[string]string{
			"/v1/project":       "GET, HEAD, OPTIONS",
			"/v1/organizations": "GET, HEAD, OPTIONS, POST",
			"/v1/keys/verify":   "OPTIONS, POST",
			"/v1/projects/x":    "DELETE, GET, HEAD, OPTIONS, PATCH",
			"/healthz":          "GET, HEAD, OPTIONS",
		} {
			got := w.call(t, "PUT", path, as, nil).fails(t, http.StatusMethodNotAllowed, domain.CodeMethodNotAllowed)
			if diff := cmp.Diff(allow, methods(got)); diff != "" {
				t.Errorf("PUT %s as %s: %s", path, name, diff)
			}
			got = w.call(t, "OPTIONS", path, as, nil).want(t, http.StatusNoContent, nil)
			if diff := cmp.Diff(allow, methods(got)); diff != "" {
				t.Errorf("OPTIONS %s as %s: %s", path, name, diff)
			}
		}
	}
}

// methods is Allow in order of the alphabet.
func methods(a answer) string {
	list := strings.Split(a.header.Get("Allow"), ", ")
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// HEAD answers what GET does, without the body, on a real connection.
func TestHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	server := httptest.NewServer(w.echo)
	defer server.Close()
	ask := func(method, path string, as credential) (status int, header http.Header) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		as(r.Header)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, res.Header
	}
	for path, as := range map[string]credential{
		n.path(""): n.owner.as, "/v1/project": anonymous, "/healthz": anonymous, "/openapi.yaml": anonymous, "/v1/me": byUser("bad"),
		n.path("x"): n.owner.as,
	} {
		getStatus, get := ask("GET", path, as)
		headStatus, head := ask("HEAD", path, as)
		for _, name := range []string{"Content-Type", "Www-Authenticate", "Cache-Control", "Content-Length"} {
			if got, want := head[name], get[name]; !cmp.Equal(got, want) {
				t.Errorf("%s: HEAD has %s %q, GET %q", path, name, got, want)
			}
		}
		if headStatus != getStatus {
			t.Errorf("%s: HEAD gives %d, GET %d", path, headStatus, getStatus)
		}
	}
}

// An internal error, including a panic, gives the caller only the request id, and
// the log everything, once.
func TestFaultsAreSilentAndLoggedOnce(t *testing.T) {
	t.Parallel()
	const cause = "the disk said no"
	w := newWorld(t)
	public := api.Require(permission.Public)
	w.echo.GET("/error", func(echo.Context) error { return errors.New(cause) }, public)
	w.echo.GET("/panic", func(echo.Context) error { panic(cause) }, public)
	w.echo.GET("/unavailable", func(echo.Context) error { return domain.Unavailable(errors.New(cause)) }, public)
	for path, want := range map[string]struct {
		status int
		code   domain.Code
		level  string
	}{
		"/error":       {500, domain.CodeInternal, "ERROR"},
		"/panic":       {500, domain.CodeInternal, "ERROR"},
		"/unavailable": {503, domain.CodeUnavailable, "WARN"},
	} {
		got := w.call(t, "GET", path, anonymous, nil).fails(t, want.status, want.code)
		if strings.Contains(string(got.body), cause) {
			t.Errorf("%s tells the caller: %s", path, got.body)
		}
		var told []map[string]any
		for line := range strings.Lines(w.Logged.String()) {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatal(err)
			}
			if entry["request_id"] == got.header.Get("X-Request-Id") && strings.Contains(line, cause) {
				told = append(told, entry)
			}
		}
		if len(told) != 1 || told[0]["level"] != want.level || told[0]["operation"] != path {
			t.Errorf("%s: the log has %v", path, told)
		}
		if retry := got.header.Get("Retry-After"); (retry != "") != (want.status == 503) {
			t.Errorf("%s: Retry-After is %q", path, retry)
		}
	}
	w.call(t, "GET", "/healthz", anonymous, nil).want(t, http.StatusOK, nil)
}

// The access log says who did what and how it went; it holds no address and no
// header, because clients put secrets there by mistake.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	const canary = "c4n4ry"
	r := httptest.NewRequest(http.MethodGet, n.path("/keys?search="+canary), nil)
	r.Header.Set("X-Custom", canary)
	r.Header.Set("User-Agent", canary)
	n.owner.as(r.Header)
	got := w.send(t, r).want(t, http.StatusOK, nil)
	lines := slices.Collect(strings.Lines(w.Logged.String()))
	var entry map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &entry); err != nil {
		t.Fatal(err)
	}
	delete(entry, "time")
	delete(entry, "took")
	want := map[string]any{
		"level": "INFO", "msg": "request", "request_id": got.header.Get("X-Request-Id"), "method": "GET", "operation": "listKeys",
		"status": 200.0, "bytes": float64(len(got.body)), "ip": "192.0.2.1", "actor": string(n.owner.User.ID),
	}
	if diff := cmp.Diff(want, entry); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(w.Logged.String(), canary) {
		t.Error("the log repeats what a request carried")
	}
}

// Only proxies that are trusted are believed about where a request comes from.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	const peer = "192.0.2.1" // of httptest's requests
	for name, test := range map[string]struct {
		trusted   string
		forwarded []string
		want      string
	}{
		"no proxy is trusted":      {"", []string{"203.0.113.9"}, peer},
		"not even this machine":    {"10.0.0.0/8", []string{"203.0.113.9", "127.0.0.1"}, peer},
		"a trusted proxy":          {"192.0.2.0/24", []string{"203.0.113.9"}, "203.0.113.9"},
		"behind it, a liar":        {"192.0.2.0/24", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		"two proxies":              {"192.0.2.0/24", []string{"203.0.113.9, 192.0.2.77"}, "203.0.113.9"},
		"in two headers":           {"192.0.2.0/24", []string{"1.1.1.1", "203.0.113.9"}, "203.0.113.9"},
		"private is not trusted":   {"192.0.2.0/24", []string{"1.1.1.1, 10.0.0.5"}, "10.0.0.5"},
		"garbage":                  {"192.0.2.0/24", []string{"hello"}, peer},
		"a proxy that is silent":   {"192.0.2.0/24", nil, peer},
		"a range with host bits":   {"192.0.2.1/24", []string{"203.0.113.9"}, "203.0.113.9"},
		"a client with IPv6":       {"192.0.2.1/32", []string{"2001:db8::1"}, "2001:db8::1"},
		"only other ranges listed": {"2001:db8::/32", []string{"203.0.113.9"}, peer},
		"with a port":              {"192.0.2.0/24", []string{"203.0.113.7:4711"}, "203.0.113.7"},
		"IPv6 with a port":         {"192.0.2.0/24", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		"IPv6 in brackets":         {"192.0.2.0/24", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"IPv4 written as IPv6":     {"192.0.2.0/24", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		"a proxy with a port":      {"192.0.2.0/24", []string{"203.0.113.9:1,\t192.0.2.77:2"}, "203.0.113.9"},
		"a liar with a port":       {"192.0.2.0/24", []string{"1.1.1.1:1, 203.0.113.9:2"}, "203.0.113.9"},
		"garbage behind a proxy":   {"192.0.2.0/24", []string{"1.1.1.1, unknown, 192.0.2.77"}, "192.0.2.77"},
		"a port that is none":      {"192.0.2.0/24", []string{"203.0.113.7:x"}, peer},
		"an empty entry":           {"192.0.2.0/24", []string{"203.0.113.7,"}, peer},
		"only trusted ones":        {"192.0.2.0/24", []string{"192.0.2.5:80, 192.0.2.77"}, "192.0.2.5"},
	} {
		w := newWorld(t, func(c *api.Config) {
			if test.trusted != "" {
				c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(test.trusted)}
			}
		})
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Header["X-Forwarded-For"] = test.forwarded
		r.Header.Set("X-Real-Ip", "6.6.6.6")
		r.Header.Set("Forwarded", "for=6.6.6.6")
		w.send(t, r)
		if got := regexp.MustCompile(`"ip":"([^"]*)"`).FindStringSubmatch(w.Logged.String())[1]; got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// Web pages may call only from configured origins; without any there is no CORS
// at all. A preflight needs no credentials, and errors can be read too.
func TestCORS(t *testing.T) {
	t.Parallel()
	preflight := func(w *world, origin string) answer {
		return w.call(t, "OPTIONS", "/v1/project", headers("Origin", origin, "Access-Control-Request-Method", "GET",
			"Access-Control-Request-Headers", "x-api-key, traceparent, tracestate"), nil).
			want(t, http.StatusNoContent, nil)
	}
	for name := range preflight(newWorld(t), "https://app.example").header {
		if strings.HasPrefix(name, "Access-Control") {
			t.Errorf("%s is set without origins", name)
		}
	}
	w := newWorld(t, func(c *api.Config) {
		c.CORSOrigins = []string{"https://app.example"}
		c.Credentials.Header = "X-My-Key"
	})
	got := preflight(w, "https://app.example").header
	if got.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		!strings.Contains(got.Get("Access-Control-Allow-Headers"), "X-My-Key") ||
		!strings.Contains(got.Get("Access-Control-Allow-Headers"), "Traceparent,Tracestate") ||
		got.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("got %v", got)
	}
	if got := preflight(w, "https://evil.example").header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("another origin is allowed: %s", got)
	}
	refused := w.call(t, "GET", "/v1/project", headers("Origin", "https://app.example"), nil).
		fails(t, http.StatusUnauthorized, domain.CodeUnauthenticated)
	if refused.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Error("a web page cannot read why it was refused")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(c *api.Config) { c.Metrics = registry })
	ada := w.signUp(t, "ada")
	for range 3 {
		w.call(t, "GET", "/v1/me", ada.as, nil)
	}
	w.call(t, "GET", "/v1/me", anonymous, nil)
	w.call(t, "GET", "/nowhere/"+ada.AccessToken, anonymous, nil)
	recorder := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	var got []string
	for line := range strings.Lines(recorder.Body.String()) {
		if strings.HasPrefix(line, "latchkey_http_requests_total") || strings.HasPrefix(line,
			`latchkey_http_request_duration_seconds_count{operation="getMe"`) {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		`latchkey_http_request_duration_seconds_count{operation="getMe"} 4`,
		`latchkey_http_requests_total{operation="getMe",status="200"} 3`,
		`latchkey_http_requests_total{operation="getMe",status="401"} 1`,
		`latchkey_http_requests_total{operation="none",status="404"} 1`,
		`latchkey_http_requests_total{operation="signUp",status="201"} 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	w.mustNotShow(t, "the metrics", recorder.Body.String())
}

// Answers to callers may not be kept by anyone else.
func TestCacheControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	for path, want := range map[string]string{
		"/v1/me": "no-store", n.path("/keys"): "no-store", "/v1/project": "no-store", "/nowhere": "no-store", "/healthz": "no-store",
		"/openapi.yaml": "public, max-age=300", "/openapi.json": "public, max-age=300",
		"/.well-known/jwks.json": "public, max-age=50", // a new key signs a minute after it is published; nodes know it in 10 s
	} {
		if got := w.call(t, "GET", path, n.owner.as, nil).header.Get("Cache-Control"); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	minted := w.call(t, "POST", n.path("/keys"), n.owner.as, map[string]string{"name": "a"}).want(t, http.StatusCreated, nil)
	if got := minted.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("the token may be cached: %q", got)
	}
}

// A process that is about to end says so to load balancers, and still answers.
func TestReadiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.call(t, "GET", "/readyz", anonymous, nil).want(t, http.StatusOK, nil)
	w.App.Drain()
	w.call(t, "GET", "/readyz", anonymous, nil).fails(t, http.StatusServiceUnavailable, domain.CodeUnavailable)
	w.call(t, "GET", "/healthz", anonymous, nil).want(t, http.StatusOK, nil)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"app.example", "https://app.example/", "https://app.example/path", "ftp://app.example", "https://",
		"null"} {
		if err := (api.Config{CORSOrigins: []string{origin}}).Validate(); err == nil {
			t.Errorf("the origin %q is taken", origin)
		}
	}
	if err := (api.Config{CORSOrigins: []string{"*", "http://localhost:3000", "https://app.example"}}).Validate(); err != nil {
		t.Error(err)
	}
	bad := api.Config{CORSOrigins: []string{"x", "y"}, Credentials: api.Credentials{Keyword: "Bearer", Header: "HTTP_X"}}
	if got, want := len(strings.Split(bad.Validate().Error(), "\n")), 4; got != want {
		t.Errorf("%d mistakes are listed, want %d: %v", got, want, bad.Validate())
	}
	if _, err := api.New(nil, bad); err == nil {
		t.Error("an API with bad settings was made")
	}
}

// Guarantees that a client that sends too much, or must not send anything, gets its
// answer after it has sent everything, instead of a closed connection.
func TestRefusedBodiesAreHeardOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := httptest.NewServer(w.echo)
	t.Cleanup(server.Close)
	body := strings.Repeat("x", (4<<20)-1000)
	for path, want := range map[string]string{
		"/v1/auth/login": "HTTP/1.1 413 ", "/v1/organizations": "HTTP/1.1 401 ", "/v1/nothing": "HTTP/1.1 404 ",
		"/v1/project": "HTTP/1.1 405 ",
	} {
		for _, head := range []string{"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body, fmt.Sprintf(
			"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)} {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+head)
			if err != nil {
				t.Errorf("%s: the body could not be sent: %v", path, err)
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
				t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
			}
			conn.Close()
		}
	}
}
