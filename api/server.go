package api

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"sync"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/requestlog"
	"github.com/latchkey-dev/latchkey/service/site"
)

// Config is how the API is served.
type Config struct {
	PublicURL      string                // where clients reach the instance; empty: http://127.0.0.1:8080
	Credentials    Credentials           // how API keys travel
	Default        permission.Permission // for routes added without one; the zero value refuses every caller
	TrustedProxies []netip.Prefix        // proxies whose X-Forwarded-For is believed
	CORSOrigins    []string              // which web pages may call the API; none: no CORS
	Log            *slog.Logger          // nil: slog.Default
	Requests       *requestlog.Rule      // which requests are logged; nil: a rule of its own
	Metrics        prometheus.Registerer // nil: not registered
	Tracing        *Tracing              // nil: no spans
}

// Validate returns everything that is wrong with the settings, or nil.
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

// New returns the API as an Echo, ready to serve. You can add your own routes; each
// is held to its Require or else to config.Default. The http.Server must limit
// timeouts and the size of headers.
func New(app *service.App, config Config) (*echo.Echo, error) { return newServer(app, config, true) }

// newServer is like New, with or without the lean edge. Clients cannot see the
// difference.
func newServer(app *service.App, config Config, withLean bool) (*echo.Echo, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	operations, err := loadOperations()
	if err != nil {
		return nil, err
	}
	// Written on the first request: it takes longer than all the rest of the start.
	docs := sync.OnceValues(func() (documents, error) { return newDocuments(config.PublicURL, config.Credentials) })
	meter, err := newMetrics(config.Metrics, operations)
	if err != nil {
		return nil, err
	}

	e := echo.New()
	e.HideBanner, e.HidePort, e.Binder = true, true, &binder{}
	g := newGuard(app, GuardConfig{Credentials: config.Credentials, Default: config.Default, Log: config.Log})
	g.site = site.New(cmp.Or(config.PublicURL, defaultAddress))
	clients := newAddresses(config.TrustedProxies, g.log)
	e.IPExtractor = clients.client
	if config.Metrics != nil {
		if err := config.Metrics.Register(clients.metric()); err != nil {
			return nil, err
		}
	}
	if config.Requests != nil {
		g.requests = config.Requests
	}
	e.HTTPErrorHandler = func(err error, c echo.Context) { _ = g.begin(c).refuse(c, err) }
	var leans []*lean
	var proxies *forward
	for _, op := range operations {
		if op.id == forwardAuth {
			proxies = newForward(g, meter, op, clients)
		}
		if l := newLean(g, meter, op); l != nil && withLean {
			leans = append(leans, l)
		}
	}
	if config.Tracing != nil {
		e.Use(config.Tracing.naming(operations))
	}
	e.Use(g.edge(meter, leans, proxies))
	if len(config.CORSOrigins) > 0 {
		e.Use(cors(config))
	}
	g.watch(e)
	addReferenceFiles(e)
	return e, register(e, g, operations, &handlers{app: app, documents: docs})
}
