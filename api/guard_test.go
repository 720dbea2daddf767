package api_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
)

func ok(c echo.Context) error { return c.NoContent(http.StatusOK) }

// serve sends a request to an Echo of another program.
func serve(e *echo.Echo, method, path string, as credential) answer {
	r := httptest.NewRequest(method, path, nil)
	as(r.Header)
	recorder := httptest.NewRecorder()
	e.ServeHTTP(recorder, r)
	return answer{recorder.Code, recorder.Header(), recorder.Body.Bytes()}
}

// A route without a rule gets the default: whatever LATCHKEY_DEFAULT_PERMISSION
// may say, and refuses everybody when it says nothing.
func TestDefaultPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	asKey, asUser := byKey(w.key(t, n.owner, n.project.ID, nil).Token), n.owner.as
	for setting, want := range map[string]struct{ anonymous, key, user, both int }{
		"":                 {403, 403, 403, 403},
		"HasAPIKey":        {401, 200, 403, 400},
		"IsUser":           {401, 403, 200, 400},
		"HasAPIKey|IsUser": {401, 200, 200, 400},
		"HasAPIKey&IsUser": {401, 403, 403, 200},
	} {
		rule, err := permission.Parse(setting)
		if err != nil {
			t.Fatal(err)
		}
		foreign := echo.New()
		foreign.GET("/before", ok)
		api.Guard(foreign, w.App, api.GuardConfig{Default: rule})
		foreign.GET("/after", ok)
		foreign.Group("/group").GET("/below", ok)
		own, err := api.New(w.App, api.Config{Default: rule, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		own.GET("/after", ok)

		for path, e := range map[string]*echo.Echo{"/before": foreign, "/after": foreign, "/group/below": foreign} {
			for name, test := range map[string]struct {
				as   credential
				want int
			}{
				"anonymous": {anonymous, want.anonymous},
				"key":       {asKey, want.key},
				"user":      {asUser, want.user},
				"both":      {both(asKey, asUser), want.both},
			} {
				if got := serve(e, "GET", path, test.as); got.status != test.want {
					t.Errorf("default %q, %s as %s: got %d, want %d: %s", setting, path, name, got.status, test.want, got.body)
				}
				if got := serve(own, "GET", "/after", test.as); got.status != test.want {
					t.Errorf("default %q on Latchkey's own Echo as %s: got %d, want %d: %s", setting, name, got.status, test.want, got.body)
				}
			}
		}
	}
}

// A route's own rule replaces the default, and does not add to it; so does its
// group's.
func TestRequireReplacesTheDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	token := w.key(t, n.owner, n.project.ID, nil).Token
	e := echo.New()
	pass := func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	api.Guard(e, w.App, api.GuardConfig{Default: permission.HasAPIKey})
	e.GET("/user", ok, api.Require(permission.IsUser))
	e.GET("/among-others", ok, pass, api.Require(permission.IsUser), pass)
	e.GET("/public", ok, api.Require(permission.Public))
	e.Group("/group", api.Require(permission.IsUser)).GET("/below", ok)
	e.GET("/default", ok, pass)

	for _, path := range []string{"/user", "/among-others", "/group/below"} {
		for name, test := range map[string]struct {
			as   credential
			want int
		}{"anonymous": {anonymous, 401}, "key": {byKey(token), 403}, "user": {n.owner.as, 200}, "bad": {byUser("x"), 401}} {
			if got := serve(e, "GET", path, test.as); got.status != test.want {
				t.Errorf("%s as %s: got %d, want %d: %s", path, name, got.status, test.want, got.body)
			}
		}
	}
	for name, as := range map[string]credential{"anonymous": anonymous, "bad key": byKey("x"), "stale": byUser("x")} {
		if got := serve(e, "GET", "/public", as); got.status != http.StatusOK {
			t.Errorf("/public as %s: got %d", name, got.status)
		}
	}
	if got := serve(e, "GET", "/default", n.owner.as); got.status != http.StatusForbidden {
		t.Errorf("/default as user: got %d", got.status)
	}
}

// A path that one host has a rule for is not open on another.
func TestHostsAreGuardedApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := echo.New()
	api.Guard(e, w.App, api.GuardConfig{})
	e.Host("a.example").GET("/x", ok)
	e.Host("b.example").GET("/x", ok, api.Require(permission.Public))
	if got := serve(e, "GET", "http://a.example/x", anonymous); got.status != http.StatusForbidden {
		t.Errorf("got %d", got.status)
	}
}

// The router answers unknown paths the same way for every caller and method.
func TestGuardLeavesTheRouterAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := echo.New()
	api.Guard(e, w.App, api.GuardConfig{})
	e.GET("/known", ok, api.Require(permission.HasAPIKey))
	for _, as := range []credential{anonymous, byKey("bad"), byUser("bad")} {
		for _, test := range []struct {
			method, path string
			want         int
		}{{"GET", "/unknown", 404}, {"POST", "/known", 405}, {"OPTIONS", "/known", 204}} {
			if got := serve(e, test.method, test.path, as); got.status != test.want {
				t.Errorf("%s %s: got %d, want %d", test.method, test.path, got.status, test.want)
			}
		}
	}
}

// A handler on a foreign Echo has the key and its project at hand, and its
// refusals are the same problems as everywhere.
func TestForeignEcho(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	minted := w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"documents:read"}})
	e := echo.New()
	documents := e.Group("/documents", api.Prove(w.App, api.GuardConfig{}))
	documents.GET("", func(c echo.Context) error {
		project, isKey := api.CallingProject(c)
		key, _ := api.Principal(c).Key()
		return c.JSON(http.StatusOK, map[string]any{"key": key.Key.ID, "project": project.ID, "is_key": isKey,
			"reads": key.Holds("documents:read")})
	}, api.Require(permission.Any(permission.HasAPIKey, permission.IsUser)))

	var got map[string]any
	serve(e, "GET", "/documents", byKey(minted.Token)).want(t, http.StatusOK, &got)
	if got["key"] != string(minted.Key.ID) || got["project"] != string(n.project.ID) || got["is_key"] != true || got["reads"] != true {
		t.Errorf("by key: got %v", got)
	}
	serve(e, "GET", "/documents", n.owner.as).want(t, http.StatusOK, &got)
	if got["is_key"] != false || got["project"] != "" {
		t.Errorf("by user: got %v", got)
	}

	refused := serve(e, "GET", "/documents", anonymous).fails(t, http.StatusUnauthorized, domain.CodeUnauthenticated)
	if got, want := strings.Join(refused.header["Www-Authenticate"], "; "),
		`Api-Key realm="latchkey"; Bearer realm="latchkey"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var p api.Problem
	if err := json.Unmarshal(refused.body, &p); err != nil || p.RequestID == "" || p.RequestID != refused.header.Get("X-Request-Id") {
		t.Errorf("got %s, request id %s", refused.body, refused.header.Get("X-Request-Id"))
	}
	serve(e, "GET", "/documents", both(byKey(minted.Token), n.owner.as)).fails(t, http.StatusBadRequest, domain.CodeMultipleCredentials)
}

// Require without Authenticate has no caller to check, so it must fail visibly.
func TestRequireAlonePanics(t *testing.T) {
	t.Parallel()
	e := echo.New()
	e.GET("/", ok, api.Require(permission.HasAPIKey))
	defer func() {
		if recover() == nil {
			t.Error("it did not")
		}
	}()
	serve(e, "GET", "/", anonymous)
}
