package api

import (
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// readLean reads a short body of a plain Content-Type into b, and lets the request
// read it again.
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

// readAgain repeats the part of a body that has been read, followed by the rest.
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
	service.Question

	project domain.ProjectID
}

// parseQuestion reads a plain body: the fields in any order, each at most once,
// strings of printable ASCII without escapes, and scopes, a project, a cost, a tag, an
// environment and an address that openapi.yaml takes. Anything else is not for the lean
// edge.
func parseQuestion(b []byte) (q question, ok bool) {
	p := plain{rest: b, good: true}
	var key, scopes, project, cost, tag, environment, ip bool
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
			q.Token, key = string(p.text()), true
		case "scopes":
			p.good = p.good && !scopes
			q.Scopes, scopes = p.scopes(), true
		case "project_id":
			p.good = p.good && !project
			id, err := domain.ParseID[domain.ProjectID](string(p.text()))
			p.good = p.good && err == nil
			q.project, project = id, true
		case "cost":
			p.good = p.good && !cost
			q.Cost, cost = p.cost(), true
		case "tag":
			p.good = p.good && !tag
			q.Tag, tag = p.tag(), true
		case "environment":
			p.good = p.good && !environment
			q.Environment, environment = domain.Environment(p.text()), true
			p.good = p.good && (q.Environment == domain.Live || q.Environment == domain.Test)
		case "ip":
			p.good = p.good && !ip
			q.IP, ip = p.address(), true
		default:
			p.good = false
		}
	}
	p.spaces()
	return q, p.good && key && len(p.rest) == 0
}

// plain reads the simplest kind of JSON. After anything else it is no longer good.
type plain struct {
	rest []byte
	good bool
}

func (p *plain) spaces() {
	for len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\n' || p.rest[0] == '\t' || p.rest[0] == '\r') {
		p.rest = p.rest[1:]
	}
}

// next skips b if it comes next.
func (p *plain) next(b byte) bool {
	p.spaces()
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

// tag reads a tag, as Invalid.Tag of the domain allows it.
func (p *plain) tag() string {
	text := p.text()
	p.good = p.good && 0 < len(text) && len(text) <= domain.MaxTagLength
	return string(text)
}

// address reads an address, as domain.ParseAddress allows it.
func (p *plain) address() string {
	text := string(p.text())
	_, ok := domain.ParseAddress(text)
	p.good = p.good && ok
	return text
}

// cost reads what a request costs, as domain.Cost allows it.
func (p *plain) cost() domain.Cost {
	cost := domain.Cost{}
	p.expect('{')
	for first := true; p.good && !p.next('}'); first = false {
		if !first {
			p.expect(',')
		}
		name := string(p.text())
		p.expect(':')
		_, twice := cost[name]
		cost[name] = p.integer()
		p.good = p.good && !twice
	}
	p.good = p.good && cost.Validate() == nil
	return cost
}

// integer reads a number that is not negative, in its shortest form.
func (p *plain) integer() (n int64) {
	const longest = 18 // digits: they always fit
	p.spaces()
	digits := 0
	for ; digits < min(len(p.rest), longest) && '0' <= p.rest[digits] && p.rest[digits] <= '9'; digits++ {
		n = 10*n + int64(p.rest[digits]-'0')
	}
	p.good = p.good && digits > 0 && (digits == 1 || p.rest[0] != '0')
	p.rest = p.rest[digits:]
	return n
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
func isScope[T ~string | ~[]byte](text T) bool {
	for i := range len(text) {
		if text[i] == ':' {
			return isScopePart(text[:i], 32) && isScopePart(text[i+1:], 64)
		}
	}
	return false
}

func isScopePart[T ~string | ~[]byte](text T, longest int) bool {
	if len(text) == 0 || len(text) > longest || text[0] < 'a' || text[0] > 'z' {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return true
}
