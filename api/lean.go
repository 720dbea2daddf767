package api

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/problem"
	"github.com/latchkey-dev/latchkey/domain"
)

// Customers' backends call getCurrentProject and verifyKey for every request that
// they serve, so these two operations have a lean edge. It answers when they
// succeed, when the API key is refused, and when something that the answer needs is
// unavailable. It does the same as the ordinary edge, without the parts that cost
// more than the answer: a context and a record for each request, validation by
// schema, and decoding and encoding by reflection.
//
// It is never more lenient and never answers anything different. If it is not sure
// about a request (a query, a body that is not plain, two credentials, an internal
// error), it leaves the request unchanged for the ordinary edge. Permissions,
// errors and messages are not duplicated, and a fuzz test checks that both edges
// answer with the same bytes.

// leanBody is the longest request body that the lean edge reads, in bytes.
const leanBody = 4 << 10

// leanLogs says that the lean edge logs one in so many successful answers. Metrics
// count all of them. Refusals follow the same rule as everywhere.
const leanLogs = 100

// lean is the lean edge of one operation.
type lean struct {
	guard      *guard
	meter      *metrics
	series     *series
	operation  operation
	asks       bool // about the use of other keys
	answer     leanAnswer
	challenges map[domain.Code][]string // WWW-Authenticate for each refusal
}

// A leanAnswer appends the body of a successful answer to b. It fails with the
// refusal of a credential, or with another error, which leaves the request to the
// ordinary edge. It may replace the request's body with one that reads the same.
type leanAnswer func(l *lean, c echo.Context, b []byte) ([]byte, domain.Principal, error)

var leanAnswers = map[string]leanAnswer{
	"getCurrentProject": (*lean).currentProject,
	"verifyKey":         (*lean).verifyKey,
}

var errNotLean = errors.New("not for the lean edge")

// unlessUnavailable returns errNotLean, except for unavailable: the ordinary edge
// would do all of the work again to find the same.
func unlessUnavailable(err error) error {
	if domain.CodeOf(err) == domain.CodeUnavailable {
		return err
	}
	return errNotLean
}

// newLean returns the lean edge of an operation, or nil if it has none.
func newLean(g *guard, meter *metrics, op operation) *lean {
	answer, ok := leanAnswers[op.id]
	if !ok {
		return nil
	}
	l := &lean{
		guard:      g,
		meter:      meter,
		series:     meter.operations[op.id],
		operation:  op,
		asks:       asksAboutKeys[op.id],
		answer:     answer,
		challenges: map[domain.Code][]string{},
	}
	for _, code := range problem.Codes() {
		l.challenges[code] = g.credentials.challenges(op.rule.permission, code)
	}
	return l
}

// Header values that are the same in every answer.
var (
	leanJSON    = []string{echo.MIMEApplicationJSON}
	leanNoStore = []string{"no-store"}
)

var leanBuffers = sync.Pool{New: func() any { b := make([]byte, 0, leanBody); return &b }}

// serve answers the request if it can. Otherwise it returns false and has done
// nothing.
func (l *lean) serve(c echo.Context, start time.Time) bool {
	r := c.Request()
	if r.URL.RawQuery != "" || r.Header[echo.HeaderOrigin] != nil {
		return false
	}
	buffer, _ := leanBuffers.Get().(*[]byte)
	body, caller, err := l.answer(l, c, (*buffer)[:0])
	if err != nil {
		if _, lent := r.Body.(*readAgain); !lent { // otherwise the request's body is in the buffer
			leanBuffers.Put(buffer)
		}
		return l.answerRefusal(c, err, caller, start)
	}
	response := c.Response()
	if key, ok := caller.ProvenKey(); ok && !l.asks {
		d := l.guard.app.Spend(r.Context(), key, nil)
		setRateLimit(response.Header(), &d)
		if err := d.Err(); err != nil {
			leanBuffers.Put(buffer)
			l.answerLimited(c, err, caller, start)
			return true
		}
	}
	h, ids := response.Header(), [...]string{requestID()}
	h[headerRequestID] = ids[:]
	h[echo.HeaderCacheControl] = leanNoStore
	h[echo.HeaderContentType] = leanJSON
	response.WriteHeader(http.StatusOK)
	_, _ = response.Write(body) // fails only if the client has left
	if cap(body) <= 4*leanBody {
		*buffer = body
		leanBuffers.Put(buffer)
	}
	l.note(c, http.StatusOK, caller, ids[0], start, isSampled())
	return true
}

// isSampled reports whether a successful answer is logged.
func isSampled() bool { return rand.Uint32N(leanLogs) == 0 }

// answerRefusal answers as call.refuse does if a credential is refused, or if
// something is unavailable. For other errors it returns false and has done nothing.
func (l *lean) answerRefusal(c echo.Context, err error, caller domain.Principal, start time.Time) bool {
	refusal, ok := errors.AsType[*domain.Error](err)
	if !ok || !refusal.Credential && refusal.Code != domain.CodeUnavailable && refusal.Code != domain.CodeAddressNotAllowed {
		return false
	}
	id := requestID()
	c.Response().Header()[headerRequestID] = []string{id}
	if !refusal.Credential {
		l.refuse(c, err, caller, id, start)
		return true
	}
	l.meter.refused(err)
	p := problem.From(err, id)
	p.Type = l.guard.site.Path(p.Type)
	_ = writeProblem(c.Response(), p, l.challenges[refusal.Code]) // fails only if the client has left
	hearOut(c.Request())
	l.note(c, p.Status, domain.Principal{}, id, start, l.guard.requests.Keeps(c.Request().Method, p.Status, start))
	return true
}

// answerLimited answers a request that the limits of the key refuse.
func (l *lean) answerLimited(c echo.Context, err error, caller domain.Principal, start time.Time) {
	id := requestID()
	h := c.Response().Header()
	delete(h, "Etag") // of the answer that is not given
	h[headerRequestID] = []string{id}
	l.refuse(c, err, caller, id, start)
}

// refuse answers as the ordinary edge does.
func (l *lean) refuse(c echo.Context, err error, caller domain.Principal, id string, start time.Time) {
	l.meter.refused(err)
	call := l.call(c, caller, id)
	_ = call.refuse(c, err) // fails only if the client has left
	hearOut(c.Request())
	took := time.Since(start)
	l.meter.count(l.series, l.operation.id, c.Response().Status, took)
	l.guard.logRequest(c, call, took)
}

// call returns what the log needs to know about a request.
func (l *lean) call(c echo.Context, caller domain.Principal, id string) *call {
	return &call{
		guard:     l.guard,
		operation: l.operation.id,
		principal: caller,
		origin:    domain.Origin{IP: c.RealIP(), RequestID: id},
	}
}

// note counts an answer and, if logged is set, writes it to the log.
func (l *lean) note(c echo.Context, status int, caller domain.Principal, id string, start time.Time, logged bool) {
	took := time.Since(start)
	l.meter.count(l.series, l.operation.id, status, took)
	if logged {
		l.guard.writeRequest(c, l.call(c, caller, id), took)
	}
}

// recovered is like serve, but returns a panic as an error.
func (l *lean) recovered(c echo.Context, start time.Time) (done bool, err error) {
	err = recovered(func(c echo.Context) error {
		done = l.serve(c, start)
		return nil
	}, c)
	return done, err
}

// currentProject answers getCurrentProject.
func (l *lean) currentProject(c echo.Context, b []byte) ([]byte, domain.Principal, error) {
	r := c.Request()
	s, err := l.guard.credentials.read(r.Header)
	if err != nil {
		return b, domain.Principal{}, err
	}
	if !s.hasKey || s.hasAccessToken {
		return b, domain.Principal{}, errNotLean
	}
	caller, err := l.prove(c, s)
	if err != nil {
		return b, caller, err
	}
	handle, err := l.guard.app.Project(r.Context(), caller, "")
	if err != nil {
		return b, caller, errNotLean
	}
	if _, err := handle.Get(); err != nil {
		return b, caller, errNotLean
	}
	key, _ := caller.ProvenKey()
	owner := key.Tenant()
	c.Response().Header()["Etag"] = []string{*etag(owner.Project.Revision)}
	return append(appendProject(b, owner), '\n'), caller, nil
}

// verifyKey answers verifyKey.
func (l *lean) verifyKey(c echo.Context, b []byte) ([]byte, domain.Principal, error) {
	r := c.Request()
	s, err := l.guard.credentials.read(r.Header)
	if err != nil {
		return b, domain.Principal{}, err
	}
	if s.hasKey == s.hasAccessToken {
		return b, domain.Principal{}, errNotLean
	}
	b, ok := readLean(r, b)
	if !ok {
		return b, domain.Principal{}, errNotLean
	}
	question, ok := parseQuestion(b)
	if !ok || s.hasAccessToken && question.project == "" {
		return b, domain.Principal{}, errNotLean
	}
	caller, err := l.prove(c, s)
	if err != nil {
		return b, caller, err
	}
	handle, err := l.guard.app.Project(r.Context(), caller, question.project)
	if err != nil {
		return b, caller, unlessUnavailable(err)
	}
	verification, err := handle.VerifyKey(r.Context(), question.Question)
	if err != nil {
		return b, caller, unlessUnavailable(err)
	}
	return append(appendVerification(b[:0], verification, l.guard.app.Now()), '\n'), caller, nil
}

// prove is like call.prove, for requests with one credential.
func (l *lean) prove(c echo.Context, s sent) (domain.Principal, error) {
	r := c.Request()
	if s.hasKey {
		key, err := l.guard.app.ProveKey(r.Context(), s.key, c)
		return domain.ProvenPrincipal(key, nil, domain.Origin{}), err
	}
	user, err := l.guard.app.ProveUser(r.Context(), s.accessToken)
	if err != nil {
		err = unlessUnavailable(l.guard.credentials.mistaken(s.accessToken, err)) // the ordinary edge has more to say about others
	}
	return domain.ProvenPrincipal(domain.ProvenKey{}, user, domain.Origin{}), err
}
