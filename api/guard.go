package api

import (
	"log/slog"
	"reflect"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/requestlog"
	"github.com/latchkey-dev/latchkey/service/site"
)

// GuardConfig configures Guard and Prove.
type GuardConfig struct {
	Credentials Credentials

	// Default is the permission of routes that are registered without one. The
	// zero value refuses every caller. Only Guard uses it.
	Default permission.Permission

	Log *slog.Logger // nil: slog.Default
}

// Guard enforces a permission on every route of e: the one that Require got for
// the route or its group, or else config.Default. Call it before you register
// routes; earlier routes get config.Default. The router answers unknown paths,
// wrong methods and OPTIONS without reading credentials.
func Guard(e *echo.Echo, app *service.App, config GuardConfig) {
	g := newGuard(app, config)
	e.Use(g.prove)
	g.watch(e)
}

// Prove returns middleware that lets a later Require prove who is calling.
// By itself it refuses no request, so use it for a group whose routes all have a
// Require. Guard is for a whole Echo and covers every route. The zero config
// reads keys from the default headers.
func Prove(app *service.App, config GuardConfig) echo.MiddlewareFunc {
	return newGuard(app, config).prove
}

// Require returns middleware that passes on the callers whom p admits and answers
// all others with a problem: 401, 403, or 400 for two credentials where only one
// is accepted. Put it after Prove or Guard.
//
//go:noinline
func Require(p permission.Permission) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			call, ok := callOf(c.Request().Context())
			if !ok {
				panic("api: Require without Prove or Guard before it")
			}
			if err := call.admit(c, p); err != nil {
				return call.refuse(c, err)
			}
			return next(c)
		}
	}
}

// requireCode is the address of the code of every middleware that Require returns.
// Guard finds them by it, because functions cannot be compared. Require is
// not inlined, because then there would be several addresses.
var requireCode = reflect.ValueOf(Require(permission.Permission{})).Pointer()

func isRequire(m echo.MiddlewareFunc) bool { return reflect.ValueOf(m).Pointer() == requireCode }

// Principal returns who is calling, as proved for the route's permission. It is
// anonymous on public routes and without Prove.
func Principal(c echo.Context) domain.Principal {
	if call, ok := callOf(c.Request().Context()); ok {
		return call.principal
	}
	return domain.Principal{}
}

// CallingProject returns the project that owns the calling key. It costs nothing, because
// the query that proved the key has loaded it. It is false for callers without a
// key.
func CallingProject(c echo.Context) (domain.Project, bool) {
	key, ok := Principal(c).Key()
	return key.Project, ok
}

// guard proves who is calling and enforces the permissions of routes.
type guard struct {
	app         *service.App
	credentials Credentials
	log         *slog.Logger
	fallback    echo.MiddlewareFunc
	requests    *requestlog.Rule // which requests are logged
	site        site.Site

	// ruled says for every registered route whether it has its own rule. It grows
	// while routes are registered. Echo allows that only before the first request.
	ruled map[route]bool
}

type route struct{ method, path string }

func newGuard(app *service.App, config GuardConfig) *guard {
	g := &guard{
		app:         app,
		credentials: config.Credentials,
		log:         config.Log,
		fallback:    Require(config.Default),
		ruled:       map[route]bool{},
		requests:    requestlog.NewRule(),
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	return g
}

func (g *guard) prove(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		g.begin(c)
		return next(c)
	}
}

// watch records which routes of e have a rule, and applies the default to the
// others.
func (g *guard) watch(e *echo.Echo) {
	for _, r := range e.Routes() {
		g.ruled[route{r.Method, r.Path}] = false
	}
	before := e.OnAddRouteHandler
	e.OnAddRouteHandler = func(host string, r echo.Route, h echo.HandlerFunc, m []echo.MiddlewareFunc) {
		// Several hosts may have the same path: one without a rule is enough.
		own, registered := g.ruled[route{r.Method, r.Path}]
		g.ruled[route{r.Method, r.Path}] = slices.ContainsFunc(m, isRequire) && (own || !registered)
		if before != nil {
			before(host, r, h, m)
		}
	}
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if ruled, registered := g.ruled[route{c.Request().Method, c.Path()}]; registered && !ruled {
				return g.fallback(next)(c)
			}
			return next(c)
		}
	})
}
