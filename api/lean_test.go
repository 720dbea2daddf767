package api

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// edges is one instance behind both edges.
type edges struct {
	*servicetest.World

	lean, ordinary *echo.Echo
	project        *service.Project
	other          *service.Project
	tokens         map[string]string       // the real tokens for the names in the requests of these tests
	limited        map[domain.KeyID]string // limits that requests take from
}

func newEdges(t testing.TB) *edges {
	t.Helper()
	w := servicetest.New(t, storetest.SQLite(t), service.Options{Log: slog.New(slog.DiscardHandler)})
	in, ada := w.Person("ada@example.com")
	organization := w.NewOrganization(ada, "Acme <&> Søns")
	e := &edges{
		World:   w,
		project: w.NewProject(organization, "Payments"),
		other:   w.NewProject(organization, `Päy"ments </script>`),
		tokens:  map[string]string{"JWT": in.AccessToken},
		limited: map[domain.KeyID]string{},
	}
	own, err := e.project.Get()
	must(t, err)
	e.tokens["PROJECT"] = string(own.ID)
	key := func(name string, in *service.Project, spec domain.KeySpec) domain.Key {
		k, token, err := in.CreateKey(t.Context(), spec)
		must(t, err)
		e.tokens[name] = token.Reveal()
		return k
	}
	key("VERIFIER", e.project, domain.KeySpec{Name: "verifier", Scopes: []domain.Scope{"keys:verify", "documents:read"}})
	plan, err := e.project.CreatePlan(t.Context(), domain.PlanSpec{Name: `‹é"`, Limits: lifted(domain.PerExternalID)})
	must(t, err)
	_, err = e.project.Update(t.Context(), domain.ProjectPatch{Limits: new(lifted(domain.PerProject))})
	must(t, err)
	key("RICH", e.project, domain.KeySpec{
		Name: "<Rích> \"&\\", Environment: domain.Test, Scopes: []domain.Scope{"documents:write", "documents:read", "project:read"},
		ExternalID: "c/1 <", Metadata: map[string]string{"z": "1", "a<": "ü", "b": "\u00a0\u200b&"}, ExpiresAt: w.Now().Add(time.Hour),
		PlanID: plan.ID, Limits: lifted(domain.PerKey),
	})
	key("BOUND", e.project, domain.KeySpec{
		Name: "bound", Scopes: []domain.Scope{"keys:verify"},
		AllowedIPs: []domain.Network{"192.0.2.0/24", "2001:db8::/32", "::1"}, // tests call from the first
	})
	key("AFAR", e.project, domain.KeySpec{Name: "afar", AllowedIPs: []domain.Network{"203.0.113.0/24"}})
	key("EXPIRED", e.project, domain.KeySpec{Name: "expired", ExpiresAt: w.Now().Add(-time.Hour)})
	key("OTHER", e.other, domain.KeySpec{Name: "other", Scopes: []domain.Scope{"keys:verify"}})
	revoked := key("REVOKED", e.project, domain.KeySpec{Name: "revoked"})
	_, err = e.project.RevokeKey(t.Context(), revoked.ID, `lost "it"`)
	must(t, err)
	rotated := key("RETIRING", e.project, domain.KeySpec{Name: "rotated"})
	_, token, err := e.project.RotateKey(t.Context(), rotated.ID, domain.Rotation{Grace: new(time.Hour)})
	must(t, err)
	e.tokens["CURRENT"] = token.Reveal()
	e.limit(t, key)
	e.tokens["FORGED"] = forged(t)
	e.tokens["FOREIGN"] = "made-by-another-system"
	imported, err := e.project.ImportKeys(t.Context(), slices.Values([]domain.ImportRow{{
		Name: "imported", Algorithm: domain.SHA256Hex, Hash: domain.Hidden(fmt.Sprintf("%x", sha256.Sum256([]byte(e.tokens["FOREIGN"])))),
		Prefix: `x","valid":true,"<&>\`,
	}}))
	must(t, err)
	if imported.Imported != 1 {
		t.Fatal(imported)
	}

	config := Config{Log: slog.New(slog.DiscardHandler)}
	e.lean, err = newServer(w.App, config, true)
	must(t, err)
	e.ordinary, err = newServer(w.App, config, false)
	must(t, err)
	return e
}

// lifted returns limits that this version takes, with every field that it takes.
func lifted(per domain.Per) []domain.Limit {
	l := domain.Limit{
		Name: string(per) + "-1_", Limit: domain.Unlimited(), Period: domain.PeriodMonth,
		Per: per, Cost: new(int64(7)), Mode: domain.Observe,
	}
	rate, quota := l, l
	rate.Type, rate.Period = domain.RateLimit, domain.PeriodMinute
	quota.Type, quota.Name, quota.TimeZone = domain.Quota, "quota", "America/Argentina/ComodRivadavia"
	return []domain.Limit{rate, quota}
}

// limit makes keys with limits: of a plan and of their own, and one whose limit is
// used up.
func (e *edges) limit(t testing.TB, key func(string, *service.Project, domain.KeySpec) domain.Key) {
	rate := func(name string, limit int64, per domain.Per) domain.Limit {
		return domain.Limit{Name: name, Type: domain.RateLimit, Limit: domain.Allow(limit), Period: domain.PeriodMinute, Per: per}
	}
	watched, tokens := rate("watched", 1, domain.PerKey), rate("tokens", 500, domain.PerKey)
	watched.Mode, watched.Cost, tokens.Cost, tokens.Burst = domain.Observe, new(int64(2)), new(int64(0)), new(int64(50))
	pro, err := e.project.CreatePlan(t.Context(), domain.PlanSpec{
		Name: "Pro", Limits: []domain.Limit{rate("requests", 7, domain.PerExternalID), watched, tokens},
	})
	must(t, err)
	e.limited[key("LIMITED", e.project, domain.KeySpec{
		Name: "limited", Scopes: []domain.Scope{"keys:verify"}, ExternalID: `c"/1`, PlanID: pro.ID,
	}).ID] = "requests tokens"
	const most = 60 * domain.MaxRatePerSecond
	key("WIDE", e.project, domain.KeySpec{
		Name: "wide", Limits: []domain.Limit{rate("one", most, domain.PerKey), rate("two", most, domain.PerKey)},
	})
	e.limited[key("OWN", e.project, domain.KeySpec{Name: "own", Limits: []domain.Limit{rate("own", 3, domain.PerKey)}}).ID] = "own"
	e.limited[key("SPENT", e.project, domain.KeySpec{
		Name: "spent", PlanID: pro.ID, Limits: []domain.Limit{rate("none", 0, domain.PerKey), rate("nothing", 0, domain.PerKey)},
	}).ID] = "requests"
	quota := domain.Limit{Name: "monthly", Type: domain.Quota, Limit: domain.Allow(3), Period: domain.PeriodMonth, TimeZone: "Asia/Tokyo"}
	credits := domain.Limit{Name: "credits", Type: domain.Credits, Initial: new(int64(9)), Cost: new(int64(0))}
	refilled := domain.Limit{Name: "refilled", Type: domain.Credits, Refill: &domain.Refill{Amount: 5, Period: domain.PeriodYear}}
	none := quota
	none.Name, none.Limit = "none", domain.Allow(0)
	e.limited[key("QUOTA", e.project, domain.KeySpec{
		Name: "quota", Limits: []domain.Limit{rate("requests", 5, domain.PerKey), quota, credits},
	}).ID] = "requests monthly"
	key("BROKE", e.project, domain.KeySpec{Name: "broke", Limits: []domain.Limit{none, refilled}})
	refilled.Refill = nil
	key("POOR", e.project, domain.KeySpec{Name: "poor", Limits: []domain.Limit{none, refilled}})
}

// rest makes the limits of keys as good as new, as they are after a rest.
func (e *edges) rest(t testing.TB) {
	for id, names := range e.limited {
		for name := range strings.FieldsSeq(names) {
			_, err := e.project.ResetLimit(t.Context(), id, name, "")
			must(t, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill puts the real tokens for their names.
func (e *edges) fill(s string) string {
	for name, token := range e.tokens {
		s = strings.ReplaceAll(s, "$"+name, token)
	}
	return s
}

var (
	anyRequestID = regexp.MustCompile(`"request_id":"[A-Z2-7]{26}"`)
	anySpendID   = regexp.MustCompile(`"spend_id":"[A-Za-z0-9_-]{80,}"`)
)

func (e *edges) answer(t testing.TB, by *echo.Echo, a ask) string {
	t.Helper()
	r := httptest.NewRequest(a.method, "/", strings.NewReader(e.fill(a.body)))
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(a.path, "?")
	r.RequestURI = a.path
	for name, value := range map[string]string{"Authorization": a.authorization, "X-Api-Key": a.key, "Content-Type": a.contentType} {
		if value != "" {
			r.Header[name] = strings.Split(e.fill(value), again)
		}
	}
	w := httptest.NewRecorder()
	by.ServeHTTP(w, r)
	answer := w.Result()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	if len(answer.Header.Get(headerRequestID)) != 26 {
		t.Errorf("the request id is %q", answer.Header.Get(headerRequestID))
	}
	answer.Header.Del(headerRequestID)
	var head strings.Builder
	must(t, answer.Header.Write(&head))
	if answer.Header.Get("RateLimit") != "" || bytes.Contains(body, []byte(`"remaining":`)) {
		e.rest(t)
	}
	text := anySpendID.ReplaceAllString(string(body), `"spend_id":"…"`)
	return answer.Status + "\n" + head.String() + "\n" + anyRequestID.ReplaceAllString(text, `"request_id":"…"`)
}

// FuzzLeanEdge guarantees that both edges give the same answers.
func FuzzLeanEdge(f *testing.F) {
	e := newEdges(f)
	for _, a := range slices.Concat(asks, brokenAsks()) {
		f.Add(a.method == "POST", a.path, a.authorization, a.key, a.contentType, a.body)
	}
	f.Fuzz(func(t *testing.T, post bool, path, authorization, key, contentType, body string) {
		a := ask{map[bool]string{false: "GET", true: "POST"}[post], path, authorization, key, contentType, body}
		if path != "/v1/project" && path != "/v1/keys/verify" && !strings.HasPrefix(path, "/v1/project?") &&
			!strings.HasPrefix(path, "/v1/keys/verify?") {
			a.path = map[bool]string{false: "/v1/project", true: "/v1/keys/verify"}[post]
		}
		if diff := cmp.Diff(e.answer(t, e.ordinary, a), e.answer(t, e.lean, a)); diff != "" {
			t.Errorf("%+v:\n-ordinary +lean:\n%s", a, diff)
		}
	})
}

// TestUnavailableByEitherEdge guarantees that they also do so when a key cannot be
// looked up, here because the database is out of reach.
func TestUnavailableByEitherEdge(t *testing.T) {
	t.Parallel()
	e := newEdges(t)
	_, err := e.ProveKey(t.Context(), e.tokens["VERIFIER"], nil) // from now on it is in memory
	must(t, err)
	must(t, e.Store.Close())
	for _, a := range []ask{
		{"GET", "/v1/project", "", "$OTHER", "", ""},
		{"POST", "/v1/keys/verify", "", "$OTHER", plainJSON, `{"key":"$RICH"}`},
		{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$OTHER"}`},
	} {
		lean, ordinary := e.answer(t, e.lean, a), e.answer(t, e.ordinary, a)
		if diff := cmp.Diff(ordinary, lean); diff != "" || !strings.HasPrefix(lean, "503 ") || !strings.Contains(lean, "Retry-After") {
			t.Errorf("%+v: got %s\n-ordinary +lean:\n%s", a, lean, diff)
		}
	}
}

// TestUnavailableIsFoundOutOnce guarantees that a request for which a key cannot be
// looked up costs one attempt, not another one by the ordinary edge: in an outage each
// attempt may wait for seconds.
func TestUnavailableIsFoundOutOnce(t *testing.T) {
	t.Parallel()
	e := newEdges(t)
	byKey := ask{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$OTHER"}`}
	byUser := ask{"POST", "/v1/keys/verify", "Bearer $JWT", "", plainJSON, `{"key":"$OTHER","project_id":"$PROJECT"}`}
	made := time.Now()
	servicetest.Eventually(t, "the node has read the notes of what was made", func() bool { return e.SyncLag() < time.Since(made) })
	for _, a := range []ask{byKey, byUser} { // from now on the callers are in memory, and no note makes them stale
		a.body = strings.ReplaceAll(a.body, "$OTHER", "x")
		e.answer(t, e.lean, a)
	}
	must(t, e.Store.Close())
	for _, a := range []ask{byKey, byUser, {"GET", "/v1/project", "", "$OTHER", "", ""}} {
		before := e.CacheStats().Loads
		answer := e.answer(t, e.lean, a)
		if got := e.CacheStats().Loads - before; got != 1 || !strings.HasPrefix(answer, "503 ") {
			t.Errorf("%+v (%s): got %d look-ups, want 1, and %s", a, e.Sync(), got, answer)
		}
	}
}

// bareEcho answers from a handler that does nothing.
func bareEcho() *echo.Echo {
	bare := echo.New()
	for _, path := range []string{"/v1/project", "/v1/keys/verify", "/v1/projects/:project_id/forward-auth/:scopes"} {
		bare.Any(path, func(c echo.Context) error { return c.JSONBlob(http.StatusOK, []byte("{}")) })
	}
	return bare
}

// repeat returns what serves one request to by again and again.
func (e *edges) repeat(t testing.TB, by *echo.Echo, a ask, want int) (once func()) {
	t.Helper()
	body := strings.NewReader(e.fill(a.body))
	r := httptest.NewRequest(a.method, e.fill(a.path), body)
	for header, value := range map[string]string{"Authorization": a.authorization, "X-Api-Key": a.key, "Content-Type": a.contentType} {
		if value != "" {
			r.Header[header] = []string{e.fill(value)}
		}
	}
	w := &discard{header: http.Header{}}
	again := io.NopCloser(body)
	return func() {
		_, _ = body.Seek(0, io.SeekStart)
		r.Body = again
		clear(w.header)
		by.ServeHTTP(w, r)
		if w.status != want {
			t.Fatalf("%+v: got %d, want %d", a, w.status, want)
		}
	}
}

// hotAsks are the most frequent requests.
var hotAsks = map[string]struct {
	ask    ask
	status int
	most   float64 // allocations above those of Echo
}{
	"getCurrentProject":   {ask{"GET", "/v1/project", "", "$RICH", "", ""}, 200, 8},
	"verifyKey":           {ask{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$CURRENT"}`}, 200, 8},
	"verifyKey by a user": {ask{"POST", "/v1/keys/verify", "Bearer $JWT", "", plainJSON, `{"key":"$CURRENT","project_id":"$PROJECT"}`}, 200, 8},
	"forwardAuth":         {ask{"GET", "/v1/projects/$PROJECT/forward-auth/-", "", "$CURRENT", "", ""}, 200, 8},
	"a limited key":       {ask{"GET", "/v1/project", "", "$WIDE", "", ""}, 200, 10},
	"verifyKey, limited":  {ask{"POST", "/v1/keys/verify", "", "$VERIFIER", plainJSON, `{"key":"$WIDE"}`}, 200, 8},
	"refused by a limit":  {ask{"GET", "/v1/project", "", "$SPENT", "", ""}, 429, 17},
	"a mistyped token":    {ask{"GET", "/v1/project", "", "$RICH!", "", ""}, 401, 18},
	"a forged token":      {ask{"GET", "/v1/project", "", "$FORGED", "", ""}, 401, 16},
}

// TestLeanEdgeAnswers guarantees that what is asked most is answered by the lean
// edge and by it alone, and how much that may allocate.
func TestLeanEdgeAnswers(t *testing.T) {
	e := newEdges(t)
	e.refusesForged(t)
	bare := bareEcho()
	for name, c := range hotAsks {
		got, floor := allocations(e.repeat(t, e.lean, c.ask, c.status)), allocations(e.repeat(t, bare, c.ask, 200))
		if got > floor+c.most {
			t.Errorf("%s: %v allocations, of which Echo's own are %v; want at most %v more", name, got, floor, c.most)
		} else {
			t.Logf("%s: %v allocations, of which Echo's own are %v", name, got, floor)
		}
	}
}

// allocations returns the least of many counts, for under the race detector pools
// forget at random.
func allocations(once func()) float64 {
	least := testing.AllocsPerRun(1, once)
	for range 200 {
		least = min(least, testing.AllocsPerRun(1, once))
	}
	return least
}

// BenchmarkEdge is a request in process, without the network, by each edge.
func BenchmarkEdge(b *testing.B) {
	e := newEdges(b)
	e.refusesForged(b)
	for name, c := range hotAsks {
		for edge, by := range map[string]*echo.Echo{"lean": e.lean, "ordinary": e.ordinary} {
			b.Run(name+"/"+edge, func(b *testing.B) {
				b.ReportAllocs()
				once := e.repeat(b, by, c.ask, c.status)
				for b.Loop() {
					once()
				}
			})
		}
	}
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		once := e.repeat(b, bareEcho(), hotAsks["getCurrentProject"].ask, http.StatusOK)
		for b.Loop() {
			once()
		}
	})
}

// discard is an answer that is not read.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
