package api

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/latchkey-dev/latchkey/domain"
)

// edge is the outermost middleware. It gives each request an id, turns panics into
// internal errors and errors into problems, and updates the log and the metrics.
func (g *guard) edge(meter *metrics, leans []*lean, proxies *forward) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			g.site.SetHeaders(c.Response().Header())
			if path, ok := forwardPathOf(c.Request().URL); ok {
				proxies.serve(c, path, start)
				return nil
			}
			var err error
			for _, l := range leans { // there are two, so comparing is cheaper than a map
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
				err = g.refuseForeignPage(c.Request())
			}
			if err == nil {
				err = recovered(next, c)
			}
			if err != nil {
				meter.refused(err)
				_ = call.refuse(c, err) // fails only if the client has left
				hearOut(c.Request())
			}
			took := time.Since(start)
			meter.observe(call.operation, c.Response().Status, took)
			g.logRequest(c, call, took)
			return nil
		}
	}
}

// refuseForeignPage refuses a request from a web page whose origin is this
// instance under a foreign host name. With DNS rebinding, a stranger's page could
// otherwise reach an instance that only its user's machine can reach. Programs
// send no Origin and may use any host name.
func (g *guard) refuseForeignPage(r *http.Request) error {
	origin := r.Header.Get(echo.HeaderOrigin)
	_, host, _ := strings.Cut(origin, "://")
	if origin == "" || !strings.EqualFold(host, r.Host) || g.site.Serves(r.Host) {
		return nil
	}
	return domain.Errorf(domain.CodeMalformedRequest,
		"This instance is not served to web pages under the name in the Host header. Use its public URL.")
}

// heard is how much of a refused body is read: more than the largest body that is
// accepted, which is an import.
const heard = 20 << 20

// hearOut reads the rest of a refused body. Most clients read the answer only
// after they have sent the whole body. If the connection closed earlier, they
// would get an error without a reason. A client that sends Expect: 100-continue
// gets its answer without being asked for the body.
func hearOut(r *http.Request) {
	if r.Body != http.NoBody && r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, heard) // an error does not matter here
	}
}

// recovered calls next and returns a panic as an error with its stack.
func recovered(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		p := recover()
		if p == http.ErrAbortHandler { //nolint:errorlint,err113 // net/http compares it in the same way
			panic(p)
		}
		if p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return next(c)
}

// logRequest writes the request to the access log if the rule says so.
func (g *guard) logRequest(c echo.Context, call *call, took time.Duration) {
	if call.isLogged(c.Request().Method, c.Response().Status) {
		g.writeRequest(c, call, took)
	}
}

// writeRequest writes a line of the access log: who did what, from where, and with
// which result. It leaves out URLs and headers, because clients put secrets there
// by mistake.
func (g *guard) writeRequest(c echo.Context, call *call, took time.Duration) {
	ctx := c.Request().Context()
	if !g.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	g.log.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("request_id", call.origin.RequestID), slog.String("method", c.Request().Method), slog.String("operation", call.name(c)),
		slog.Int("status", c.Response().Status), slog.Duration("took", took), slog.Int64("bytes", c.Response().Size),
		slog.String("ip", call.origin.IP), slog.String("actor", call.principal.Actor().ID))
}

func cors(config Config) echo.MiddlewareFunc {
	return middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins: config.CORSOrigins,
		AllowHeaders: []string{
			authorization, config.Credentials.header(), "Content-Type", "Idempotency-Key", "If-Match", "Traceparent", "Tracestate",
		},
		ExposeHeaders: []string{headerRequestID, "Link", "ETag", "Retry-After", "WWW-Authenticate", "RateLimit", "RateLimit-Policy"},
		MaxAge:        int((10 * time.Minute).Seconds()),
	})
}
