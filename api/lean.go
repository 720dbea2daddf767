package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/problem"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// The two operations that are called for every request of somebody else's API
// have a lean edge: getCurrentProject and verifyKey, when they succeed or the
// API key is refused or cannot be looked up. It does what the ordinary edge does,
// without what costs more than the answer itself: a context and a record for each
// request, validation by schema, decoding and encoding by reflection.
//
// It is never more lenient and never says anything else. Whatever it is not sure
// of (a query, a body that is not plain, two credentials, a fault) it leaves to
// the ordinary edge, untouched. Nothing is decided twice: permissions, errors
// and messages have one place, and a test holds the two edges to the same bytes
// for whatever the fuzzer comes up with.

// leanBody is the longest request body that the lean edge reads, in bytes.
const leanBody = 4 << 10

// What is logged of that which comes in floods; metrics count every one. The lean
// edge logs one of so many answers, and of refused keys the first so many of each
// second as well, which is all of them unless somebody floods us. Of requests that
// are answered unavailable, at whichever edge, only the latter are logged.
const (
	leanLogs      = 100
	logsPerSecond = 100
)

// lean is the lean edge of one operation.
type lean struct {
	guard      *guard
	meter      *metrics
	series     *series
	operation  operation
	answer     leanAnswer
	challenges map[domain.Code][]string // WWW-Authenticate, for every refusal
	refusals   perSecond
}

// A leanAnswer appends the body of the good answer to b. It fails with the
// refusal of a credential, or with an error that is for the ordinary edge to
// meet again. It may replace the request's body by one that gives the same.
type leanAnswer func(l *lean, c echo.Context, b []byte) ([]byte, domain.Principal, error)

var leanAnswers = map[string]leanAnswer{
	"getCurrentProject": (*lean).currentProject,
	"verifyKey":         (*lean).verifyKey,
}

var errNotLean = errors.New("not for the lean edge")

// newLean returns the lean edge of an operation, or nil.
func newLean(g *guard, meter *metrics, op operation) *lean {
	answer, ok := leanAnswers[op.id]
	if !ok {
		return nil
	}
	l := &lean{guard: g, meter: meter, series: meter.operations[op.id], operation: op, answer: answer, challenges: map[domain.Code][]string{}}
	for _, code := range problem.Codes() {
		l.challenges[code] = g.credentials.challenges(op.rule.permission, code)
	}
	return l
}

// Values of headers that are the same in every answer.
var (
	leanJSON    = []string{echo.MIMEApplicationJSON}
	leanNoStore = []string{"no-store"}
)

var leanBuffers = sync.Pool{New: func() any { b := make([]byte, 0, leanBody); return &b }}

// serve answers the request if it can, else it returns false and has done
// nothing.
func (l *lean) serve(c echo.Context, start time.Time) bool {
	r := c.Request()
	if r.URL.RawQuery != "" || r.Header[echo.HeaderOrigin] != nil {
		return false
	}
	buffer, _ := leanBuffers.Get().(*[]byte)
	body, caller, err := l.answer(l, c, (*buffer)[:0])
	if err != nil {
		if _, lent := r.Body.(*readAgain); !lent { // else the request's body lies in the buffer
			leanBuffers.Put(buffer)
		}
		return l.refuse(c, err, start)
	}
	response := c.Response()
	h, ids := response.Header(), [...]string{requestID()}
	h[headerRequestID] = ids[:]
	h[echo.HeaderCacheControl] = leanNoStore
	h[echo.HeaderContentType] = leanJSON
	response.WriteHeader(http.StatusOK)
	_, _ = response.Write(body) // fails only when nobody is there to read it
	if cap(body) <= 4*leanBody {
		*buffer = body
		leanBuffers.Put(buffer)
	}
	l.note(c, http.StatusOK, caller, ids[0], start, false)
	return true
}

// refuse answers a caller whose credential is refused, as call.refuse does, or
// cannot be looked up. It returns false, and has done nothing, when err is
// something else.
func (l *lean) refuse(c echo.Context, err error, start time.Time) bool {
	refusal, ok := errors.AsType[*domain.Error](err)
	if !ok || !refusal.Credential && refusal.Code != domain.CodeUnavailable {
		return false
	}
	id := requestID()
	c.Response().Header()[headerRequestID] = []string{id}
	if !refusal.Credential {
		call := &call{guard: l.guard, operation: l.operation.id, origin: domain.Origin{IP: c.RealIP(), RequestID: id}}
		_ = call.refuse(c, err) // fails only when nobody is there to read it
		hearOut(c.Request())
		took := time.Since(start)
		l.meter.count(l.series, l.operation.id, c.Response().Status, took)
		l.guard.logRequest(c, call, took)
		return true
	}
	_ = refuse(c.Response(), problem.From(err, id), l.challenges[refusal.Code]) // fails only when nobody is there to read it
	hearOut(c.Request())
	l.note(c, http.StatusUnauthorized, domain.Principal{}, id, start, l.refusals.below(logsPerSecond, start))
	return true
}

// note counts an answer and, for some of them or when it must, logs it.
func (l *lean) note(c echo.Context, status int, caller domain.Principal, id string, start time.Time, mustLog bool) {
	took := time.Since(start)
	l.meter.count(l.series, l.operation.id, status, took)
	if mustLog || rand.Uint32N(leanLogs) == 0 {
		l.guard.logRequest(c, &call{operation: l.operation.id, principal: caller, origin: domain.Origin{IP: c.RealIP(), RequestID: id}}, took)
	}
}

// perSecond counts what happens in a second.
type perSecond struct{ state atomic.Int64 } // the Unix time in seconds, and the count in the lowest 20 bits

// below reports whether fewer than limit have asked in this second. Of those who
// ask at the turn of a second a few may not be counted.
func (p *perSecond) below(limit int64, now time.Time) bool {
	const bits = 20
	second := now.Unix() << bits
	if state := p.state.Load(); state>>bits != second>>bits {
		p.state.Store(second)
	} else if state-second >= limit {
		return false
	}
	return p.state.Add(1)-second <= limit
}

// recovered is serve that returns a panic as an error.
func (l *lean) recovered(c echo.Context, start time.Time) (done bool, err error) {
	err = recovered(func(c echo.Context) error {
		done = l.serve(c, start)
		return nil
	}, c)
	return done, err
}

// currentProject is getCurrentProject.
func (l *lean) currentProject(c echo.Context, b []byte) ([]byte, domain.Principal, error) {
	r := c.Request()
	s, err := l.guard.credentials.read(r.Header)
	if err != nil {
		return b, domain.Principal{}, err
	}
	if !s.hasKey || s.hasAccessToken {
		return b, domain.Principal{}, errNotLean
	}
	caller, err := l.prove(r, s)
	if err != nil {
		return b, caller, err
	}
	handle, err := l.guard.app.Project(r.Context(), caller, "")
	if err != nil {
		return b, caller, errNotLean
	}
	project, err := handle.Get()
	if err != nil {
		return b, caller, errNotLean
	}
	c.Response().Header()["Etag"] = []string{*etag(project.Revision)}
	return append(appendProject(b, &project), '\n'), caller, nil
}

// verifyKey is verifyKey.
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
	caller, err := l.prove(r, s)
	if err != nil {
		return b, caller, err
	}
	handle, err := l.guard.app.Project(r.Context(), caller, question.project)
	if err != nil {
		return b, caller, errNotLean
	}
	key, code, err := handle.ExamineKey(r.Context(), question.key, question.scopes)
	if err != nil {
		return b, caller, errNotLean
	}
	return append(appendVerification(b[:0], key, code, l.guard.app.Now()), '\n'), caller, nil
}

// prove is call.prove for callers who send one credential.
func (l *lean) prove(r *http.Request, s sent) (domain.Principal, error) {
	if s.hasKey {
		key, err := l.guard.app.ProveKey(r.Context(), s.key)
		return domain.ProvenPrincipal(key, nil, domain.Origin{}), err
	}
	user, err := l.guard.app.AuthenticateUser(r.Context(), s.accessToken)
	if err != nil {
		err = errNotLean // there is more to be said about it
	}
	return domain.ProvenPrincipal(domain.ProvenKey{}, user, domain.Origin{}), err
}

// readLean reads a short, plainly declared body into b, and lets the request
// have it again.
func readLean(r *http.Request, b []byte) ([]byte, bool) {
	declared := r.Header[echo.HeaderContentType]
	if len(declared) != 1 || declared[0] != echo.MIMEApplicationJSON || r.Header[echo.HeaderContentEncoding] != nil ||
		r.ContentLength < 1 || r.ContentLength > leanBody {
		return b, false
	}
	b = append(b, make([]byte, r.ContentLength)...)
	n, err := io.ReadFull(r.Body, b)
	r.Body = &readAgain{ReadCloser: r.Body, text: b[:n]}
	return b, err == nil
}

// readAgain gives once more what was read of a body, and then the rest.
type readAgain struct {
	io.ReadCloser
	text []byte
}

func (a *readAgain) Read(p []byte) (int, error) {
	if len(a.text) == 0 {
		return a.ReadCloser.Read(p)
	}
	n := copy(p, a.text)
	a.text = a.text[n:]
	return n, nil
}

// question is the body of verifyKey.
type question struct {
	key     string
	scopes  []domain.Scope
	project domain.ProjectID
}

// parseQuestion reads a body that is plain: the fields in any order, each at
// most once, strings of printable ASCII without escapes, and scopes and project
// that openapi.yaml takes. Anything else is not for the lean edge.
func parseQuestion(b []byte) (q question, ok bool) {
	p := plain{rest: b, good: true}
	var key, scopes, project bool
	p.expect('{')
	for first := true; p.good && !p.next('}'); first = false {
		if !first {
			p.expect(',')
		}
		name := p.text()
		p.expect(':')
		switch string(name) {
		case "key":
			p.good = p.good && !key
			q.key, key = string(p.text()), true
		case "scopes":
			p.good = p.good && !scopes
			q.scopes, scopes = p.scopes(), true
		case "project_id":
			p.good = p.good && !project
			id, err := domain.ParseID[domain.ProjectID](string(p.text()))
			p.good = p.good && err == nil
			q.project, project = id, true
		default:
			p.good = false
		}
	}
	p.blanks()
	return q, p.good && key && len(p.rest) == 0
}

// plain reads JSON of the simplest kind. Once something else comes it is no
// longer good, and stays so.
type plain struct {
	rest []byte
	good bool
}

func (p *plain) blanks() {
	for len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\n' || p.rest[0] == '\t' || p.rest[0] == '\r') {
		p.rest = p.rest[1:]
	}
}

// next takes b if it comes next.
func (p *plain) next(b byte) bool {
	p.blanks()
	if len(p.rest) == 0 || p.rest[0] != b {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *plain) expect(b byte) { p.good = p.next(b) && p.good }

func (p *plain) text() []byte {
	p.expect('"')
	for i, c := range p.rest {
		switch {
		case c == '"':
			text := p.rest[:i]
			p.rest = p.rest[i+1:]
			return text
		case c < ' ' || c > '~' || c == '\\':
			p.good = false
			return nil
		}
	}
	p.good = false
	return nil
}

func (p *plain) scopes() (scopes []domain.Scope) {
	const most = 100
	p.expect('[')
	for first := true; p.good && !p.next(']'); first = false {
		if !first {
			p.expect(',')
		}
		text := p.text()
		p.good = p.good && isScope(text) && len(scopes) < most
		scopes = append(scopes, domain.Scope(text))
	}
	return scopes
}

// isScope reports whether text is ^[a-z][a-z0-9_.-]{0,31}:[a-z][a-z0-9_.-]{0,63}$.
func isScope(text []byte) bool {
	resource, verb, ok := bytes.Cut(text, []byte{':'})
	return ok && isScopePart(resource, 32) && isScopePart(verb, 64)
}

func isScopePart(text []byte, longest int) bool {
	if len(text) == 0 || len(text) > longest || text[0] < 'a' || text[0] > 'z' {
		return false
	}
	for _, c := range text {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return true
}

// appendProject appends a project as ProjectFrom and encoding/json have it.
func appendProject(b []byte, p *domain.Project) []byte {
	b = appendTime(append(b, `{"created_at":`...), p.CreatedAt)
	b = appendString(append(b, `,"id":`...), string(p.ID))
	b = appendString(append(b, `,"key_prefix":`...), p.KeyPrefix)
	b = appendString(append(b, `,"name":`...), p.Name)
	b = appendString(append(b, `,"organization_id":`...), string(p.OrganizationID))
	b = appendString(append(b, `,"slug":`...), p.Slug)
	b = appendString(append(b, `,"status":`...), string(p.Status))
	b = appendTime(append(b, `,"updated_at":`...), p.UpdatedAt)
	return append(b, '}')
}

// appendVerification appends an answer as VerificationFrom and encoding/json
// have it.
func appendVerification(b []byte, key domain.ProvenKey, code service.VerificationCode, now time.Time) []byte {
	b = appendString(append(b, `{"code":`...), string(code))
	valid := code == service.VerifiedValid
	if !key.IsZero() {
		b = appendVerifiedKey(append(b, `,"key":`...), key, now)
	}
	if valid {
		p := &key.Tenant().Project
		b = appendString(append(b, `,"project":{"id":`...), string(p.ID))
		b = appendString(append(b, `,"name":`...), p.Name)
		b = append(appendString(append(b, `,"slug":`...), p.Slug), '}')
	}
	return append(strconv.AppendBool(append(b, `,"valid":`...), valid), '}')
}

func appendVerifiedKey(b []byte, key domain.ProvenKey, now time.Time) []byte {
	f := key.Fields()
	b = appendTime(append(b, `{"created_at":`...), f.CreatedAt)
	b = append(f.AppendCreatorID(append(b, `,"created_by":{"id":"`...)), '"') // ids need no escapes
	b = appendString(append(b, `,"kind":`...), string(f.CreatorKind))
	b = appendString(append(b, `},"environment":`...), string(f.Environment))
	b = appendTimeOrNull(append(b, `,"expires_at":`...), f.ExpiresAt)
	b = appendOrNull(append(b, `,"external_id":`...), f.ExternalID)
	b = appendString(append(b, `,"id":`...), string(f.ID))
	b = append(b, `,"metadata":{`...)
	first := true
	for name, value := range f.Metadata() {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(append(appendString(b, name), ':'), value)
	}
	b = appendString(append(b, `},"name":`...), f.Name)
	b = appendPrefix(append(b, `,"prefix":`...), &f)
	b = appendString(append(b, `,"project_id":`...), string(f.ProjectID))
	if f.Retiring.Live(now) {
		b = appendString(append(b, `,"retiring":{"prefix":`...), f.Retiring.Prefix)
		b = append(appendTime(append(b, `,"valid_until":`...), f.Retiring.ValidUntil), '}')
	}
	b = appendTimeOrNull(append(b, `,"revoked_at":`...), f.RevokedAt)
	b = appendOrNull(append(b, `,"revoked_reason":`...), f.RevokedReason)
	b = appendTimeOrNull(append(b, `,"rotated_at":`...), f.RotatedAt)
	b = append(b, `,"scopes":[`...)
	first = true
	for scope := range f.Scopes() {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(b, string(scope))
	}
	b = appendString(append(b, `],"status":`...), string(key.Status(now)))
	return append(b, '}')
}

// appendPrefix appends the key's prefix. Ours need no escapes; that of an
// imported key is whatever the system that made it took for one.
func appendPrefix(b []byte, f *domain.Fields) []byte {
	start := len(b)
	b = append(f.AppendPrefix(append(b, '"')), '"')
	for _, c := range b[start+1 : len(b)-1] {
		if c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return appendString(b[:start], string(b[start+1:len(b)-1]))
		}
	}
	return b
}

// appendString appends s as encoding/json writes it; what is not plain is left
// to encoding/json itself.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, _ := json.Marshal(s) //nolint:errchkjson // a string cannot fail
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendString(b, s)
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

func appendTimeOrNull(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	return appendTime(b, t)
}
