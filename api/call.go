package api

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/api/problem"
	"github.com/latchkey-dev/latchkey/domain"
)

// headerRequestID identifies a request in its answer. It is not read from
// requests, because a client's own text would end up in the logs and the audit
// trail.
const headerRequestID = "X-Request-Id"

// call is what is known about a request while it is served. The request's context
// holds it.
type call struct {
	guard         *guard
	origin        domain.Origin
	url           *url.URL // as it was sent
	accept        string   // the Accept header
	proved        bool     // whether credentials have been checked
	principal     domain.Principal
	rule          permission.Permission // the last rule that was checked
	operation     string                // operationId, for logs and metrics
	free          bool                  // the operation costs the limits of the calling key nothing
	logging       logging               // whether the request is logged
	form          url.Values            // of an operation of OAuth
	authorization string                // its Authorization header
	sent          sent                  // its API key

	leaving func() // releases the place of a large body; nil: the request has none
}

// logging says whether a request is logged. That is decided once, as soon as its
// status is known.
type logging int

const (
	undecided logging = iota
	logged
	unlogged
)

// asksAboutKeys has the operations that are about the use of other keys: asking is
// no use of the key that asks.
var asksAboutKeys = map[string]bool{"verifyKey": true, "syncKeys": true}

// readsByPost has the operations that may use POST but change nothing.
var readsByPost = map[string]bool{
	"verifyKey": true, "syncKeys": true, "introspectToken": true, "issueToken": true, forwardAuth: true,
}

// isLogged reports whether to log the request, given the status of its answer.
func (c *call) isLogged(method string, status int) bool {
	if readsByPost[c.operation] {
		method = http.MethodGet
	}
	if c.logging == undecided {
		c.logging = unlogged
		if c.guard.requests.Keeps(method, status, time.Now()) {
			c.logging = logged
		}
	}
	return c.logging == logged
}

type callKey struct{}

func callOf(ctx context.Context) (*call, bool) {
	c, ok := ctx.Value(callKey{}).(*call)
	return c, ok
}

// begin returns the call of a request. The first call of begin puts it into the
// context.
func (g *guard) begin(c echo.Context) *call {
	r := c.Request()
	if known, ok := callOf(r.Context()); ok {
		return known
	}
	ip := echo.ExtractIPDirect()
	if c.Echo().IPExtractor != nil {
		ip = c.Echo().IPExtractor
	}
	fresh := &call{
		guard:  g,
		url:    r.URL,
		accept: strings.Join(r.Header.Values(echo.HeaderAccept), ","),
		origin: domain.Origin{IP: ip(r), UserAgent: domain.UserAgent(r.UserAgent()), RequestID: requestID()},
	}
	c.SetRequest(r.WithContext(context.WithValue(r.Context(), callKey{}, fresh)))
	c.Response().Header().Set(headerRequestID, fresh.origin.RequestID)
	return fresh
}

// requestID returns a unique id of 26 characters. It is hard to guess but not
// secret, so it need not come from crypto/rand.
func requestID() string {
	var id [26]byte
	high, low := rand.Uint64(), rand.Uint64()
	for i := range id {
		id[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[high&31]
		high, low = high>>5|low<<59, low>>5
	}
	return string(id[:])
}

// admit proves who is calling, once for each request, and checks the permission.
// A public permission reads no credentials, so a stale token does no harm there.
func (c *call) admit(ec echo.Context, p permission.Permission) error {
	c.rule = p
	if p.IsPublic() {
		return nil
	}
	if !c.proved {
		if err := c.prove(ec.Request()); err != nil {
			return err
		}
		if err := c.spend(ec); err != nil {
			return err
		}
	}
	return p.Admit(c.principal)
}

// RealIP implements service.Sender.
func (c *call) RealIP() string { return c.origin.IP }

// prove turns the request's credentials into its principal. One invalid
// credential refuses the request, even beside a valid one. Without credentials
// the principal is anonymous.
func (c *call) prove(r *http.Request) error {
	s, err := c.guard.credentials.read(r.Header)
	if err != nil {
		return err
	}
	var key domain.ProvenKey
	if s.hasKey {
		if key, err = c.guard.app.ProveKey(r.Context(), s.key, c); err != nil {
			return err
		}
	}
	var user *domain.CallingUser
	if s.hasAccessToken {
		if user, err = c.guard.app.ProveUser(r.Context(), s.accessToken); err != nil {
			return c.guard.credentials.mistaken(s.accessToken, err)
		}
	}
	c.principal, c.proved = domain.ProvenPrincipal(key, user, c.origin), true
	return nil
}

// spend counts a request that a key makes, and takes what it costs from the limits of
// the key.
func (c *call) spend(ec echo.Context) error {
	key, isKey := c.principal.ProvenKey()
	switch {
	case !isKey || asksAboutKeys[c.operation]:
		return nil
	case c.free:
		c.guard.app.CountUse(key)
		return nil
	}
	d := c.guard.app.Spend(ec.Request().Context(), key, nil)
	setRateLimit(ec.Response().Header(), &d)
	return d.Err()
}

// mayAct asks the service whether the caller may perform the action in the
// project, before more of the request is read. Without an action, strangers send reports
// of leaks.
func (c *call) mayAct(ec echo.Context, action domain.Action) error {
	if action == "" {
		return c.guard.app.AdmitReport(c.origin)
	}
	project, err := c.guard.app.Project(ec.Request().Context(), c.principal, domain.ProjectID(ec.Param("project_id")))
	if err != nil {
		return err
	}
	return project.Authorize(action)
}

// room returns a function that takes a place for a large body on this node, until leave.
func (c *call) room(ctx context.Context) func() error {
	return func() error {
		caller := c.principal
		if c.rule.IsPublic() {
			caller = domain.NewPrincipal(nil, nil, c.origin)
		}
		leave, err := c.guard.app.LargeBody(ctx, caller)
		if err == nil {
			c.leaving = leave
		}
		return err
	}
}

// leave releases the place of a large body.
func (c *call) leave() {
	if c.leaving != nil {
		c.leaving()
	}
}

// refuse answers err as a problem, unless an answer has already been started.
// Internal errors are logged here and nowhere else.
func (c *call) refuse(ec echo.Context, err error) error {
	p := problem.From(err, c.origin.RequestID)
	p.Type = c.guard.site.Path(p.Type)
	if p.Status >= http.StatusInternalServerError && c.isLogged(ec.Request().Method, p.Status) {
		c.logFault(ec, p.Status, err)
	}
	if ec.Response().Committed {
		return nil
	}
	var challenges []string
	if p.Status == http.StatusUnauthorized {
		challenges = c.guard.credentials.challenges(c.rule, p.Code)
	}
	return writeProblem(ec.Response(), p, challenges)
}

// writeProblem answers with a problem and any challenges.
func writeProblem(w http.ResponseWriter, p problem.Problem, challenges []string) error {
	if len(challenges) > 0 {
		w.Header()[http.CanonicalHeaderKey(echo.HeaderWWWAuthenticate)] = challenges
	}
	return p.Write(w)
}

func (c *call) logFault(ec echo.Context, status int, err error) {
	ctx, level := ec.Request().Context(), slog.LevelError
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		level = slog.LevelInfo // the client has gone and does not wait for the answer
	case status == http.StatusServiceUnavailable && c.operation == "getReadiness":
		level = slog.LevelDebug // probes repeat it, and the reason is already in the log
	case status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	}
	c.guard.log.LogAttrs(ctx, level, "request failed",
		slog.String("request_id", c.origin.RequestID), slog.String("operation", c.name(ec)), slog.String("error", err.Error()))
}

// name is the request's name in logs and metrics. It is never the request's path,
// which the client chooses.
func (c *call) name(ec echo.Context) string {
	if c.operation != "" {
		return c.operation
	}
	return ec.Path()
}
