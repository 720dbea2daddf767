package api

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// Config is how the API is served.
type Config struct {
	PublicURL      string                // where clients reach the instance; empty: http://127.0.0.1:8080
	Credentials    Credentials           // how API keys travel
	Default        permission.Permission // for routes added without one; the zero value refuses everybody
	TrustedProxies []netip.Prefix        // whose X-Forwarded-For is believed; none: nobody's
	CORSOrigins    []string              // which web pages may call the API; none: no CORS
	Log            *slog.Logger          // nil: slog.Default
	Metrics        prometheus.Registerer // nil: not registered
	Tracing        *Tracing              // nil: no spans
}

// Validate returns what is wrong with the settings, all of it, or nil.
func (c Config) Validate() error {
	errs := []error{c.Credentials.Validate()}
	for _, origin := range c.CORSOrigins {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			errs = append(errs, fmt.Errorf("the CORS origin %q must be a scheme and a host, such as https://app.example.com, or *", origin))
		}
	}
	return errors.Join(errs...)
}

// New returns the API as an Echo, ready to serve. Routes of one's own can be
// added to it; each is held to its Require or else to config.Default. Timeouts
// and the size of headers are the http.Server's to limit.
func New(app *service.App, config Config) (*echo.Echo, error) { return newServer(app, config, true) }

// newServer is New, with or without the lean edge, by which nobody can tell the
// two apart.
func newServer(app *service.App, config Config, withLean bool) (*echo.Echo, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	operations, err := loadOperations()
	if err != nil {
		return nil, err
	}
	// Written when somebody asks: it takes longer than all the rest of the start.
	docs := sync.OnceValues(func() (documents, error) { return newDocuments(config.PublicURL, config.Credentials) })
	meter, err := newMetrics(config.Metrics, operations)
	if err != nil {
		return nil, err
	}

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = clientAddress(config.TrustedProxies)
	g := newGuard(app, GuardConfig{Credentials: config.Credentials, Default: config.Default, Log: config.Log})
	e.HTTPErrorHandler = func(err error, c echo.Context) { _ = g.begin(c).refuse(c, err) }
	var leans []*lean
	for _, op := range operations {
		if l := newLean(g, meter, op); l != nil && withLean {
			leans = append(leans, l)
		}
	}
	if config.Tracing != nil {
		e.Use(config.Tracing.naming(operations))
	}
	e.Use(g.edge(meter, leans))
	if len(config.CORSOrigins) > 0 {
		e.Use(cors(config))
	}
	g.watch(e)
	addReferenceFiles(e)
	return e, register(e, g, operations, &handlers{app: app, documents: docs})
}

// edge is the outermost part of every request: it gets its id, a panic becomes
// a fault of ours, an error becomes a problem, and log and metrics hear of it.
func (g *guard) edge(meter *metrics, leans []*lean) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			var err error
			for _, l := range leans { // two, so that comparing is cheaper than a map
				if l.operation.path != c.Path() || l.operation.method != c.Request().Method {
					continue
				}
				var done bool
				if done, err = l.recovered(c, start); done {
					return nil
				}
			}
			call := g.begin(c)
			if err == nil {
				err = recovered(next, c)
			}
			if err != nil {
				_ = call.refuse(c, err) // fails only when nobody is there to read the answer
				hearOut(c.Request())
			}
			took := time.Since(start)
			meter.observe(call.operation, c.Response().Status, took)
			g.logRequest(c, call, took)
			return nil
		}
	}
}

// heard is how much of a refused body is read: rather more than the largest that
// we take, which is an import.
const heard = 20 << 20

// hearOut reads what is left of a refused body. Most clients look for an answer
// only when they have sent everything: to them a connection that is closed
// before is an error without a reason. Who waits to be asked for the body is
// answered instead.
func hearOut(r *http.Request) {
	if r.Body != http.NoBody && r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, heard) // it ends when it likes
	}
}

// recovered runs next and returns a panic as an error with its stack.
func recovered(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		p := recover()
		if p == http.ErrAbortHandler { //nolint:errorlint,err113 // net/http compares it so, too
			panic(p)
		}
		if p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return next(c)
}

// logRequest writes the access log: who did what from where, and how it went.
// Addresses and headers are not in it, since secrets end up there by mistake.
func (g *guard) logRequest(c echo.Context, call *call, took time.Duration) {
	ctx := c.Request().Context()
	if call.unlogged || !g.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	g.log.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("request_id", call.origin.RequestID), slog.String("method", c.Request().Method), slog.String("operation", call.name(c)),
		slog.Int("status", c.Response().Status), slog.Duration("took", took), slog.Int64("bytes", c.Response().Size),
		slog.String("ip", call.origin.IP), slog.String("actor", call.principal.Actor().ID))
}

// clientAddress tells where a request comes from: the peer of the connection
// or, where that is a trusted proxy, the last address before the trusted ones.
func clientAddress(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range trusted {
		p = p.Masked()
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

func cors(config Config) echo.MiddlewareFunc {
	return middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:  config.CORSOrigins,
		AllowHeaders:  []string{authorization, config.Credentials.header(), "Content-Type", "Idempotency-Key", "If-Match"},
		ExposeHeaders: []string{headerRequestID, "Link", "ETag", "Retry-After", "WWW-Authenticate"},
		MaxAge:        int((10 * time.Minute).Seconds()),
	})
}

// operation is an operation of openapi.yaml with all that is decided about it
// before the first request.
type operation struct {
	id       string
	method   string
	path     string // in Echo's spelling
	rule     rule
	contract contract
}

// loadOperations reads the operations of openapi.yaml, once. It fails when one
// has no rule, or a rule has none.
var loadOperations = sync.OnceValues(func() ([]operation, error) {
	doc, err := openapi3.NewLoader().LoadFromData(latchkey.OpenAPI)
	if err != nil {
		return nil, err
	}
	var operations []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			r, ok := rules[op.OperationID]
			if !ok {
				return nil, fmt.Errorf("the operation %s has no rule", op.OperationID)
			}
			if _, err := r.permission.Security(); err != nil {
				return nil, fmt.Errorf("the rule of %s: %w", op.OperationID, err)
			}
			contract, err := newContract(op)
			if err != nil {
				return nil, fmt.Errorf("the operation %s: %w", op.OperationID, err)
			}
			operations = append(operations, operation{op.OperationID, method, echoPath(path), r, contract})
		}
	}
	if len(operations) != len(rules) {
		return nil, fmt.Errorf("openapi.yaml has %d operations, but there are %d rules", len(operations), len(rules))
	}
	slices.SortFunc(operations, func(a, b operation) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method)) })
	return operations, nil
})

// echoPath turns /v1/projects/{project_id} into /v1/projects/:project_id.
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// register puts every operation on e, HEAD beside GET.
func register(e *echo.Echo, g *guard, operations []operation, h *handlers) error {
	generated := generatedHandlers{handlers: map[route]echo.HandlerFunc{}}
	RegisterHandlers(generated, NewStrictHandler(h, nil))
	for _, op := range operations {
		handler, ok := generated.handlers[route{op.method, op.path}]
		if !ok {
			return fmt.Errorf("nothing handles %s %s", op.method, op.path)
		}
		methods := []string{op.method}
		if op.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, method := range methods {
			e.Add(method, op.path, unshadowed(op, operations, op.serve(handler)))
			g.ruled[route{method, op.path}] = true
		}
	}
	return nil
}

// unshadowed keeps a path from answering for a more concrete one, with a method
// that only the former has: OpenAPI matches concrete paths first, while Echo looks
// for the method first. So DELETE of /v1/me/sessions/revoke-others is a wrong
// method, and not a session of that name.
func unshadowed(op operation, operations []operation, next echo.HandlerFunc) echo.HandlerFunc {
	allow := map[string]string{}
	for _, other := range operations {
		if other.path != op.path && matches(op.path, other.path) {
			allow[other.path] = cmp.Or(allow[other.path], http.MethodOptions) + ", " + other.method
		}
	}
	if len(allow) == 0 {
		return next
	}
	return func(c echo.Context) error {
		for path, methods := range allow {
			if matches(path, c.Request().URL.Path) {
				c.Response().Header().Set(echo.HeaderAllow, methods)
				return echo.ErrMethodNotAllowed
			}
		}
		return next(c)
	}
}

// matches reports whether path is one of those that a template in Echo's spelling
// stands for.
func matches(template, path string) bool {
	return slices.EqualFunc(strings.Split(template, "/"), strings.Split(path, "/"), func(want, part string) bool {
		return want == part || strings.HasPrefix(want, ":")
	})
}

// serve is what every request to an operation goes through: who may knock, what
// may be asked, and then the handler. Answers are for the caller alone, and some
// hold secrets, so nobody may keep them.
func (op operation) serve(handler echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		call, _ := callOf(c.Request().Context())
		call.operation = op.id
		c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
		if err := call.admit(c.Request(), op.rule.permission); err != nil {
			return err
		}
		if err := op.contract.check(c); err != nil {
			return err
		}
		return handler(c)
	}
}

// generatedHandlers receives the handlers that the generated code registers.
type generatedHandlers struct {
	EchoRouter // nil: openapi.yaml has no other methods

	handlers map[route]echo.HandlerFunc
}

func (g generatedHandlers) add(method, path string, h echo.HandlerFunc) *echo.Route {
	g.handlers[route{method, path}] = h
	return nil
}

func (g generatedHandlers) GET(path string, h echo.HandlerFunc, _ ...echo.MiddlewareFunc) *echo.Route {
	return g.add(http.MethodGet, path, h)
}

func (g generatedHandlers) POST(path string, h echo.HandlerFunc, _ ...echo.MiddlewareFunc) *echo.Route {
	return g.add(http.MethodPost, path, h)
}

func (g generatedHandlers) PATCH(path string, h echo.HandlerFunc, _ ...echo.MiddlewareFunc) *echo.Route {
	return g.add(http.MethodPatch, path, h)
}

func (g generatedHandlers) DELETE(path string, h echo.HandlerFunc, _ ...echo.MiddlewareFunc) *echo.Route {
	return g.add(http.MethodDelete, path, h)
}

// Route is an operation as the command line lists it.
type Route struct {
	Method     string
	Path       string
	Operation  string
	Permission permission.Permission
	Action     domain.Action // empty: none
}

// Routes returns every operation with who may call it.
func Routes() ([]Route, error) {
	operations, err := loadOperations()
	if err != nil {
		return nil, err
	}
	var routes []Route
	for _, op := range operations {
		routes = append(routes, Route{op.method, op.path, op.id, op.rule.permission, op.rule.action})
	}
	return routes, nil
}
