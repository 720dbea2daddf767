package api

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// The two operations that are called for every request of somebody else's API
// have a lean edge: getCurrentProject and verifyKey, when they succeed. It does
// what the ordinary edge does, without what costs more than the answer itself:
// a context and a record for each request, validation by schema, decoding and
// encoding by reflection.
//
// It is never more lenient and never says anything else, because it only ever
// gives the good answer. Whatever it is not sure of (a query, a body that is not
// plain, a credential that is refused, a fault) it leaves to the ordinary edge,
// untouched. So nothing is decided twice: permissions, errors and messages have
// one place, and a test holds the two edges to the same bytes for whatever the
// fuzzer comes up with.

// leanBody is the longest request body that the lean edge reads, in bytes.
const leanBody = 4 << 10

// leanLogs is which part of its successes the lean edge logs: one in so many.
// Metrics count them all, and refusals and faults are always logged.
const leanLogs = 100

// lean is the lean edge of one operation.
type lean struct {
	guard  *guard
	meter  *metrics
	series *series
	id     string
	method string
	// answer appends the body of the good answer to b, or returns false. It may
	// replace the request's body by one that gives the same.
	answer func(l *lean, c echo.Context, b []byte) ([]byte, domain.Principal, bool)
}

// leanOperations are those with a lean edge.
var leanOperations = map[string]func(*lean, echo.Context, []byte) ([]byte, domain.Principal, bool){
	"getCurrentProject": (*lean).currentProject,
	"verifyKey":         (*lean).verifyKey,
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
	if r.Method != l.method || r.URL.RawQuery != "" || r.Header[echo.HeaderOrigin] != nil {
		return false
	}
	buffer, _ := leanBuffers.Get().(*[]byte)
	body, caller, ok := l.answer(l, c, (*buffer)[:0])
	if !ok {
		if _, lent := r.Body.(*readAgain); !lent { // else the request's body lies in the buffer
			leanBuffers.Put(buffer)
		}
		return false
	}
	id := requestID()
	response := c.Response()
	h := response.Header()
	h[headerRequestID] = []string{id}
	h[echo.HeaderCacheControl] = leanNoStore
	h[echo.HeaderContentType] = leanJSON
	response.WriteHeader(http.StatusOK)
	_, _ = response.Write(body) // fails only when nobody is there to read it
	if cap(body) <= 4*leanBody {
		*buffer = body
		leanBuffers.Put(buffer)
	}
	took := time.Since(start)
	l.meter.count(l.series, l.id, http.StatusOK, took)
	if rand.Uint32N(leanLogs) == 0 {
		l.guard.logRequest(c, &call{operation: l.id, principal: caller, origin: domain.Origin{IP: c.RealIP(), RequestID: id}}, took)
	}
	return true
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
func (l *lean) currentProject(c echo.Context, b []byte) ([]byte, domain.Principal, bool) {
	r := c.Request()
	s, err := l.guard.credentials.read(r.Header)
	if err != nil || !s.hasKey || s.hasAccessToken {
		return b, domain.Principal{}, false
	}
	caller, ok := l.prove(r, s)
	if !ok {
		return b, caller, false
	}
	handle, err := l.guard.app.Project(r.Context(), caller, "")
	if err != nil {
		return b, caller, false
	}
	project, err := handle.Get()
	if err != nil {
		return b, caller, false
	}
	c.Response().Header()["Etag"] = []string{*etag(project.Revision)}
	return append(appendProject(b, &project), '\n'), caller, true
}

// verifyKey is verifyKey.
func (l *lean) verifyKey(c echo.Context, b []byte) ([]byte, domain.Principal, bool) {
	r := c.Request()
	s, err := l.guard.credentials.read(r.Header)
	if err != nil || s.hasKey == s.hasAccessToken {
		return b, domain.Principal{}, false
	}
	b, ok := readLean(r, b)
	if !ok {
		return b, domain.Principal{}, false
	}
	question, ok := parseQuestion(b)
	if !ok || s.hasAccessToken && question.project == "" {
		return b, domain.Principal{}, false
	}
	caller, ok := l.prove(r, s)
	if !ok {
		return b, caller, false
	}
	handle, err := l.guard.app.Project(r.Context(), caller, question.project)
	if err != nil {
		return b, caller, false
	}
	key, code, err := handle.ExamineKey(r.Context(), question.key, question.scopes)
	if err != nil {
		return b, caller, false
	}
	return append(appendVerification(b[:0], key, code, l.guard.app.Now()), '\n'), caller, true
}

// prove is call.prove for callers who prove themselves.
func (l *lean) prove(r *http.Request, s sent) (domain.Principal, bool) {
	var (
		key  domain.ProvenKey
		user *domain.CallingUser
		err  error
	)
	if s.hasKey {
		key, err = l.guard.app.ProveKey(r.Context(), s.key)
	} else {
		user, err = l.guard.app.AuthenticateUser(r.Context(), s.accessToken)
	}
	return domain.ProvenPrincipal(key, user, domain.Origin{}), err == nil
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
