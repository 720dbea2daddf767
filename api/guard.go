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

// GuardConfig is how routes are guarded.
type GuardConfig struct {
	Credentials Credentials

	// Default is the permission of routes that are registered without one. The
	// zero value refuses everybody. Only Guard can tell which routes these are.
	Default permission.Permission

	Log *slog.Logger // nil: slog.Default
}

// Guard holds every route of e to a permission: to the one that Require was
// given, for the route or for its group, or else to config.Default. It is called
// before routes are registered; those that stand already get config.Default. An
// unknown path, a wrong method and OPTIONS are answered by the router, without a
// look at credentials.
func Guard(e *echo.Echo, app *service.App, config GuardConfig) {
	g := newGuard(app, config)
	e.Use(g.authenticate)
	g.watch(e)
}

// Authenticate returns middleware that lets Require, behind it, prove who is
// calling. By itself it refuses nobody, so it suits a group whose routes all
// have their Require; Guard is for a whole Echo, and forgets none. Without a
// config, keys travel as they do by default.
func Authenticate(app *service.App, config ...GuardConfig) echo.MiddlewareFunc {
	var c GuardConfig
	for _, given := range config {
		c = given
	}
	return newGuard(app, c).authenticate
}

// Require returns middleware that lets in whom p admits and answers all others
// with a problem: 401, 403, or 400 where two credentials are one too many. It
// stands behind Authenticate or Guard.
//
//go:noinline
func Require(p permission.Permission) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			call, ok := callOf(c.Request().Context())
			if !ok {
				panic("api: Require without Authenticate or Guard before it")
			}
			if err := call.admit(c.Request(), p); err != nil {
				return call.refuse(c, err)
			}
			return next(c)
		}
	}
}

// requireCode is where the code of every middleware made by Require begins. It
// is how Guard tells them from others, since functions cannot be compared; hence
// Require is not inlined, which would give it several beginnings.
var requireCode = reflect.ValueOf(Require(permission.Permission{})).Pointer()

func isRequire(m echo.MiddlewareFunc) bool { return reflect.ValueOf(m).Pointer() == requireCode }

// Principal returns who is calling, as far as the route's permission made them
// prove it: anonymous on public routes, and where there is no Authenticate.
func Principal(c echo.Context) domain.Principal {
	if call, ok := callOf(c.Request().Context()); ok {
		return call.principal
	}
	return domain.Principal{}
}

// Project returns the project that owns the calling key, at no cost: it was
// loaded by the query that proved the key. It is false for callers without one.
func Project(c echo.Context) (domain.Project, bool) {
	key, ok := Principal(c).Key()
	return key.Project, ok
}

// guard proves who is calling and holds routes to their permissions.
type guard struct {
	app         *service.App
	credentials Credentials
	log         *slog.Logger
	fallback    echo.MiddlewareFunc
	requests    *requestlog.Rule // which requests the log has
	site        site.Site

	// ruled tells of every registered route whether it has a rule of its own. It
	// grows while routes are registered, which Echo itself allows only before
	// the first request.
	ruled map[route]bool
}

type route struct{ method, path string }

func newGuard(app *service.App, config GuardConfig) *guard {
	g := &guard{
		app: app, credentials: config.Credentials, log: config.Log, fallback: Require(config.Default), ruled: map[route]bool{},
		requests: &requestlog.Rule{},
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	return g
}

func (g *guard) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		g.begin(c)
		return next(c)
	}
}

// watch notes which routes of e come with a rule, and puts the default in front
// of the others.
func (g *guard) watch(e *echo.Echo) {
	for _, r := range e.Routes() {
		g.ruled[route{r.Method, r.Path}] = false
	}
	before := e.OnAddRouteHandler
	e.OnAddRouteHandler = func(host string, r echo.Route, h echo.HandlerFunc, m []echo.MiddlewareFunc) {
		// The same path may stand for several hosts: one without a rule is enough.
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
