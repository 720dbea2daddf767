package api

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// contract is what openapi.yaml says about the requests of one operation, looked
// up once. Messages contain schemas and pointers, but never values, which may be
// secrets.
type contract struct {
	path         map[string]*regexp.Regexp
	query        map[string]*schema
	header       map[string]*schema
	body         *schema // nil: the operation takes no JSON
	form         bool    // the operation takes a form, as those of OAuth do, and answers with errors of OAuth
	bodyRequired bool
	maxBody      int64
	negotiated   bool // whether the Accept header chooses the media type of the answer
}

func newContract(op *openapi3.Operation) (contract, error) {
	k := contract{path: map[string]*regexp.Regexp{}, query: map[string]*schema{}, header: map[string]*schema{}, maxBody: maxBody}
	if ok := op.Responses.Status(http.StatusOK); ok != nil {
		k.negotiated = len(ok.Value.Content) > 1
	}
	for _, ref := range op.Parameters {
		if err := k.addParameter(ref.Value); err != nil {
			return contract{}, fmt.Errorf("parameter %s: %w", ref.Value.Name, err)
		}
	}
	if op.RequestBody == nil {
		return k, nil
	}
	if op.RequestBody.Value.Content.Get(echo.MIMEApplicationForm) != nil {
		k.form = true
		return k, nil
	}
	var err error
	k.body, err = newSchema(op.RequestBody.Value.Content.Get(echo.MIMEApplicationJSON).Schema.Value)
	k.bodyRequired = op.RequestBody.Value.Required
	if n, given := op.Extensions["x-max-body"].(float64); given {
		k.maxBody = int64(n)
	}
	return k, err
}

func (k contract) addParameter(p *openapi3.Parameter) error {
	s, err := newSchema(p.Schema.Value)
	if err != nil {
		return err
	}
	switch {
	case p.In == openapi3.ParameterInPath && s.pattern != nil:
		k.path[p.Name] = s.pattern
	case p.In == openapi3.ParameterInQuery && !p.Required && (s.kind == openapi3.TypeString || s.kind == openapi3.TypeInteger):
		k.query[p.Name] = s
	case p.In == openapi3.ParameterInHeader && !p.Required && s.kind == openapi3.TypeString:
		k.header[p.Name] = s
	default:
		return errors.New("this kind of parameter is not supported: only path parameters with a pattern, " +
			"optional query parameters that are strings or integers, and optional headers are")
	}
	return nil
}

// takesLargeBodies reports whether bodies may be larger than maxBody. The sender
// must then have permission before more is read.
func (k contract) takesLargeBodies() bool { return k.maxBody > maxBody }

// checkPath returns not_found for a path whose ids cannot exist.
func (k contract) checkPath(c echo.Context) error {
	for i, name := range c.ParamNames() {
		if pattern := k.path[name]; pattern == nil || !pattern.MatchString(c.ParamValues()[i]) {
			return domain.NotFound()
		}
	}
	return nil
}

// check checks a request against the contract. It replaces the body with the
// checked one, so that handlers decode exactly that. Before it reads a large body,
// it calls room. Errors: malformed_request for a request that cannot be read,
// payload_too_large, unsupported_media_type, validation_failed, the errors of room.
func (k contract) check(c echo.Context, room func() error) error {
	if err := k.checkQuery(c); err != nil {
		return err
	}
	if err := k.checkHeader(c.Request().Header); err != nil {
		return err
	}
	if k.body == nil {
		return nil
	}
	return k.checkBody(c.Request(), c.Response().Writer, room)
}

// checkQuery checks the query. It rewrites times to UTC, in the one form that all
// readers accept.
func (k contract) checkQuery(c echo.Context) error {
	raw := c.Request().URL.RawQuery
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil || !utf8.ValidString(strings.Join(slices.Concat(slices.Collect(maps.Values(query))...), "")) {
		return domain.Errorf(domain.CodeMalformedRequest, "The query of the address is not well-formed.")
	}
	var v domain.Invalid
	for _, name := range slices.Sorted(maps.Keys(query)) {
		s, known := k.query[name]
		switch values := query[name]; {
		case len(v) == maxFieldErrors:
			return v.Err()
		case !known:
			v.Add(shown(name), "is not a parameter of this operation")
		case len(values) > 1:
			v.Add(name, "was given more than once")
		default:
			if why := s.parameter(values[0]); why != "" {
				v.Add(name, "%s", why)
			} else if s.isTime {
				t, _ := domain.ParseTime(values[0])
				c.QueryParams().Set(name, t.Format(time.RFC3339Nano))
			}
		}
	}
	return v.Err()
}

func (k contract) checkHeader(header http.Header) error {
	var v domain.Invalid
	for name, s := range k.header {
		switch values := header.Values(name); len(values) {
		case 0:
		case 1:
			if why := s.parameter(values[0]); why != "" {
				v.Add(name, "%s", why)
			}
		default:
			v.Add(name, "was given more than once")
		}
	}
	return v.Err()
}
