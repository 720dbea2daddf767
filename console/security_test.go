package console_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/console"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// answer is what the server says.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// send makes a request as a browser of p does, with more headers; an empty one
// takes away what a browser would send.
func (p person) send(t *testing.T, method, path string, form url.Values, headers map[string]string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", "latchkey_session="+p.cookie)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", p.server.URL)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range headers {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// The cookie authenticates only in the console. An access token or a key
// authenticates only in the API.
func TestCredentialsDoNotCross(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, _, p := ann.project(t, "Acme", "Documents API")
	_, token, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "billing-service"})
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.App.LogIn(t.Context(), domain.Origin{}, "ann@example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/me", "/v1/organizations", "/v1/whoami"} {
		if res := ann.send(t, http.MethodGet, path, nil, nil); res.Status != http.StatusUnauthorized {
			t.Errorf("the cookie at %s: got %d, want 401", path, res.Status)
		}
	}
	nobody := person{server: s}
	for name, headers := range map[string]map[string]string{
		"access token": {"Authorization": "Bearer " + in.AccessToken}, "API key": {"X-Api-Key": token.Reveal()},
		"refresh token as cookie": {"Cookie": "latchkey_session=" + in.RefreshToken},
		"access token as cookie":  {"Cookie": "latchkey_session=" + in.AccessToken},
	} {
		res := nobody.send(t, http.MethodGet, "/console/account", nil, headers)
		if got, want := res.Header.Get("Location"), "/console/sign-in?next=%2Fconsole%2Faccount"; got != want {
			t.Errorf("%s: got %d to %q, want the sign-in page", name, res.Status, got)
		}
	}
}

// No link to the sign-in page redirects a person to another site.
func TestNextStaysHere(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.signUp(t, "ann@example.com")
	nobody := person{server: s}
	for next, want := range map[string]string{
		"/console/account": "/console/account", "": "/console", "https://evil.example": "/console", "//evil.example": "/console",
		"/\\evil.example": "/console", "/console/\\evil.example": "/console", "javascript:alert(1)": "/console", "/docs": "/console",
		"/console/\r\nSet-Cookie: a=b": "/console", "/console/../docs": "/console", "/console/%2e%2E/docs": "/console",
		"/console/..": "/console", "/console//evil.example": "/console", "/console/a?b=../c": "/console/a?b=../c",
	} {
		res := nobody.send(t, http.MethodPost, "/console/sign-in", url.Values{
			"email": {"ann@example.com"}, "password": {password}, "next": {next},
		}, nil)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("next=%q: got %q, want %q", next, got, want)
		}
	}
}

// Scripts cannot read the session's cookie, and other sites cannot make the browser
// send it. Behind https it cannot come from another subdomain or over http.
func TestCookie(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.signUp(t, "ann@example.com")
	for publicURL, want := range map[string]struct {
		name   string
		secure bool
	}{
		s.URL:                      {"latchkey_session", false},
		"https://keys.example.com": {"__Host-latchkey_session", true},
	} {
		pages, err := console.Handler(s.App, console.Config{PublicURL: publicURL, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		form := url.Values{"email": {"ann@example.com"}, "password": {password}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/console/sign-in", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Host = strings.TrimPrefix(publicURL, "https://")
		if publicURL == s.URL {
			r.Host = s.Listener.Addr().String()
		}
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, r)
		got := w.Result().Cookies()
		if len(got) != 1 {
			t.Fatalf("%s: got %d and %v, want one cookie", publicURL, w.Code, got)
		}
		if c := got[0]; c.Name != want.name || c.Secure != want.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode ||
			c.Path != "/" || c.Domain != "" {
			t.Errorf("%s: got %v", publicURL, c)
		}
	}
}

// Every answer forbids what its page does not need, and must not be stored.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	for _, path := range []string{"/console/sign-in", "/console", "/console/account", "/console/nowhere"} {
		res := ann.send(t, http.MethodGet, path, nil, nil)
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s of %s: got %q, want %q", name, path, got, want)
			}
		}
		policy := res.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'",
			"form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("the policy of %s lacks %q", path, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(res.Body, "<style") || strings.Contains(res.Body, " style=") ||
			strings.Contains(res.Body, " onclick=") {
			t.Errorf("%s needs an inline style or script", path)
		}
	}
}

// Every page shows text as people typed it; it never becomes markup, an attribute, a
// URL or a script.
func TestFieldsStayText(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const hostile = `"'><img src=x onerror=document.title='pwned'><script>document.title="pwned"</script>{{.}}`
	in, err := s.App.SignUp(t.Context(), domain.Origin{UserAgent: hostile, IP: "127.0.0.1"}, domain.SignUp{
		Email: "ann@example.com", Password: password, Name: hostile,
	})
	if err != nil {
		t.Fatal(err)
	}
	ann := person{s, in.Cookie, domain.NewPrincipal(nil, &domain.CallingUser{User: in.User, Session: in.Session},
		domain.Origin{UserAgent: hostile})}
	org, project, p := ann.project(t, hostile, hostile)
	key, _, err := p.CreateKey(t.Context(), domain.KeySpec{
		Name: hostile, ExternalID: hostile, Metadata: map[string]string{hostile[:60]: hostile},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.RevokeKey(t.Context(), key.ID, hostile); err != nil {
		t.Fatal(err)
	}
	open, _, err := p.CreateKey(t.Context(), domain.KeySpec{Name: hostile, ExternalID: hostile})
	if err != nil {
		t.Fatal(err)
	}

	b := newTab(t, s).signedIn(ann)
	base, orgBase := "/console/projects/"+string(project.ID), "/console/organizations/"+string(org.ID)
	for _, path := range []string{
		"/console?all=1", "/console/account", "/console/sign-in?next=" + url.QueryEscape("/console/"+hostile),
		orgBase, orgBase + "/members", orgBase + "/audit",
		orgBase + "/audit?" + url.Values{"actor": {hostile}, "target": {hostile}}.Encode(),
		orgBase + "/audit?" + url.Values{"action": {hostile}}.Encode(), orgBase + "/audit?" + url.Values{"since": {hostile}}.Encode(),
		orgBase + "/settings", base, base + "/settings", base + "/keys", base + "/keys?search=" + url.QueryEscape(hostile),
		base + "/keys?" + url.Values{"status": {hostile}, "environment": {hostile}}.Encode(),
		base + "/keys/new?name=" + url.QueryEscape(hostile), base + "/keys/" + string(key.ID), base + "/keys/" + string(open.ID),
		base + "/customers", base + "/customers/show?external_id=" + url.QueryEscape(hostile),
		base + "/credits?external_id=" + url.QueryEscape(hostile),
		base + "/credits/new?" + url.Values{"external_id": {hostile}, "limit": {hostile}}.Encode(),
		base + "/keys/revoke?key=" + string(open.ID), "/console/invitation?token=" + url.QueryEscape(hostile),
	} {
		want := int64(http.StatusOK)
		if strings.Contains(path, "action=") || strings.Contains(path, "since=") || strings.Contains(path, "status=") {
			want = http.StatusUnprocessableEntity // no row can match
		}
		if got := b.open(path); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
		if source := b.source(); strings.Contains(source, "<img") || strings.Count(source, "<script") != 2 {
			t.Errorf("%s: what was typed became markup", path)
		}
	}
	b.open(base + "/keys/" + string(key.ID))
	b.shows(hostile)
}

// Every page of a list takes the same few statements, however many keys there are.
// One of them is for the keys.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	const keys = 10_000
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, _ := ann.project(t, "Acme", "Documents API")
	const batch = 500 // of keys in a transaction
	for first := 0; first < keys; first += batch {
		err := s.Store.InTx(t.Context(), func(ctx context.Context, tx *repository.Store) error {
			for i := range batch {
				at := s.Now().Add(time.Duration(first+i) * time.Microsecond)
				err := tx.CreateKey(ctx, project.Scope(), domain.Key{
					ID: domain.NewID[domain.KeyID](at), ProjectID: project.ID, Name: fmt.Sprintf("key number %d", first+i),
					Prefix: "lk_live_of-no-use", Environment: domain.Live, CreatedAt: at, Revision: 1,
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var lock sync.Mutex
	var statements []string
	s.Store.Observe(func(statement string) {
		lock.Lock()
		defer lock.Unlock()
		statements = append(statements, statement)
	})
	path := "/console/projects/" + string(project.ID) + "/keys"
	var slowest, total time.Duration
	pages := 0
	for ; path != ""; pages++ {
		statements = nil
		start := time.Now()
		res := ann.send(t, http.MethodGet, path, nil, nil)
		took := time.Since(start)
		slowest, total = max(slowest, took), total+took
		if res.Status != http.StatusOK {
			t.Fatalf("%s: got %d", path, res.Status)
		}
		ofKeys := 0
		for _, statement := range statements {
			if strings.Contains(statement, `FROM "api_keys"`) {
				ofKeys++
			}
		}
		if ofKeys != 1 || len(statements) > 5 { // of people, of the tenant, of keys and of their usage
			t.Fatalf("page %d took %d statements, %d of them for keys:\n%s", pages+1, len(statements), ofKeys,
				strings.Join(statements, "\n"))
		}
		path = nextPage(res.Body)
	}
	if want := keys / domain.DefaultPageSize; pages != want {
		t.Errorf("got %d pages, want %d", pages, want)
	}
	t.Logf("%d pages of %d keys: %v each, the slowest %v", pages, keys, total/time.Duration(pages), slowest)
}

// nextPage is the address behind a list's link to its next page, or "".
func nextPage(body string) string {
	before, _, ok := strings.Cut(body, `" rel="next"`)
	if !ok {
		return ""
	}
	return strings.ReplaceAll(before[strings.LastIndex(before, `href="`)+len(`href="`):], "&amp;", "&")
}

// Malformed paths and values get an answer that explains the mistake, never a 500.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	org, project, _ := ann.project(t, "Acme", "Documents API")
	base, orgBase := "/console/projects/"+string(project.ID), "/console/organizations/"+string(org.ID)
	for _, path := range []string{
		"/console/projects/%00", "/console/projects/", "/console/projects//keys", base + "/keys/%00",
		base + "/keys/key_0", "/console//", "/console/static/x/y",
		orgBase + "/nothing", "/console/organizations/" + string(project.ID), base + "/keys/revoke?key=key_0",
	} {
		if got, want := ann.send(t, http.MethodGet, path, nil, nil).Status, http.StatusNotFound; got != want {
			t.Errorf("GET %s: got %d, want %d", path, got, want)
		}
	}
	for _, path := range []string{base + "/keys?search=%00", base + "/keys?search=%ff", orgBase + "/audit?actor=%00",
		base + "/keys/revoke?key=%00"} {
		if got, want := ann.send(t, http.MethodGet, path, nil, nil).Status, http.StatusBadRequest; got != want {
			t.Errorf("GET %s: got %d, want %d", path, got, want)
		}
	}
	for path, values := range map[string]url.Values{
		"/console/account":                    {"name": {"\x00"}},
		base + "/keys":                        {"name": {"\xff"}},
		orgBase + "/members/usr_x/remove?a=b": {"\x00": {"\x00"}},
	} {
		if got := ann.send(t, http.MethodPost, path, values, nil).Status; got != http.StatusBadRequest && got != http.StatusNotFound {
			t.Errorf("POST %s: got %d, want 400 or 404", path, got)
		}
	}
	long := url.Values{"name": {strings.Repeat("x", 70_000)}}
	if got, want := ann.send(t, http.MethodPost, "/console/account", long, nil).Status, http.StatusRequestEntityTooLarge; got != want {
		t.Errorf("a form of 70 KB: got %d, want %d", got, want)
	}
	if got, want := ann.send(t, http.MethodDelete, "/console/account", nil, nil).Status, http.StatusMethodNotAllowed; got != want {
		t.Errorf("DELETE: got %d, want %d", got, want)
	}
	if got, want := ann.send(t, http.MethodHead, "/console/account", nil, nil).Status, http.StatusOK; got != want {
		t.Errorf("HEAD: got %d, want %d", got, want)
	}
	if res := ann.send(t, http.MethodGet, base+"/keys?cursor=nonsense", nil, nil); res.Status != http.StatusUnprocessableEntity {
		t.Errorf("a cursor that is none: got %d, want 422", res.Status)
	}
}

// Guarantees that a browser's User-Agent takes no more room in a session than through
// the API, and is stored as valid text.
func TestUserAgentIsCutShort(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/console/sign-in",
		strings.NewReader(url.Values{"email": {"ann@example.com"}, "password": {password}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", s.URL)
	r.Header.Set("User-Agent", "browser \xff"+strings.Repeat("x", 8000))
	s.Pass(time.Second) // so that this session is newer than that of the sign-up
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	account, err := s.App.Account(t.Context(), ann.caller)
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := account.ListSessions(t.Context(), domain.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := sessions.Items[0].UserAgent; !strings.HasPrefix(got, "browser x") || len(got) > 256 {
		t.Errorf("got a User-Agent of %d bytes that starts with %.10q", len(got), got)
	}
}

// No token, password, cookie or invitation gets into the log or into the URL of a
// redirect.
func TestNoSecretLeaves(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	org, project, _ := ann.project(t, "Acme", "Documents API")
	var log bytes.Buffer
	pages, err := console.Handler(s.App, console.Config{PublicURL: s.URL, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{password, ann.cookie}
	for _, step := range []struct {
		path   string
		secret *regexp.Regexp // where the answer has it
	}{
		{"/console/projects/" + string(project.ID) + "/keys", regexp.MustCompile(`<pre id="token"[^>]*>([^<]+)<`)},
		{"/console/organizations/" + string(org.ID) + "/invitations", regexp.MustCompile(`#token=([\w-]+)<`)},
		{"/console/sign-in", regexp.MustCompile(`latchkey_session=([^;]+);`)},
	} {
		form := url.Values{
			"name": {"billing-service"}, "environment": {"live"}, "nonce": {rand.Text()}, "role": {"viewer"},
			"email": {"bob@example.com"}, "password": {password}, "next": {"/console/account"},
		}
		if step.path == "/console/sign-in" {
			form.Set("email", "ann@example.com")
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, step.path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Cookie", "latchkey_session="+ann.cookie)
		r.Host = s.Listener.Addr().String()
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, r)
		match := step.secret.FindStringSubmatch(w.Body.String() + w.Header().Get("Set-Cookie"))
		if match == nil {
			t.Fatalf("%s: got %d without its secret", step.path, w.Code)
		}
		secrets = append(secrets, match[1])
		if location := w.Header().Get("Location"); strings.Contains(location, match[1]) {
			t.Errorf("%s leads to an address with its secret", step.path)
		}
	}
	if !strings.Contains(log.String(), "/console/sign-in") {
		t.Fatal("nothing was logged")
	}
	for _, secret := range secrets {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}
