package api

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// contract is what openapi.yaml says of the requests of one operation, looked up
// once. Messages are made from schemas and pointers, never from values, which
// may be secrets.
type contract struct {
	path         map[string]*regexp.Regexp
	query        map[string]*openapi3.Schema
	header       map[string]*openapi3.Schema
	body         *openapi3.Schema // nil: the operation takes none
	bodyRequired bool
	maxBody      int64
}

func newContract(op *openapi3.Operation) (contract, error) {
	k := contract{path: map[string]*regexp.Regexp{}, query: map[string]*openapi3.Schema{}, header: map[string]*openapi3.Schema{}, maxBody: maxBody}
	for _, ref := range op.Parameters {
		p, schema := ref.Value, ref.Value.Schema.Value
		switch {
		case p.In == openapi3.ParameterInPath && schema.Pattern != "":
			pattern, err := regexp.Compile(schema.Pattern)
			if err != nil {
				return contract{}, fmt.Errorf("parameter %s: %w", p.Name, err)
			}
			k.path[p.Name] = pattern
		case p.In == openapi3.ParameterInQuery && !p.Required && (schema.Type.Is(openapi3.TypeString) || schema.Type.Is(openapi3.TypeInteger)):
			k.query[p.Name] = schema
		case p.In == openapi3.ParameterInHeader && !p.Required && schema.Type.Is(openapi3.TypeString):
			k.header[p.Name] = schema
		default:
			return contract{}, fmt.Errorf("parameter %s: only path parameters with a pattern, optional query parameters, "+
				"strings or integers, and optional headers are known here", p.Name)
		}
	}
	if op.RequestBody != nil {
		k.body = op.RequestBody.Value.Content.Get(echo.MIMEApplicationJSON).Schema.Value
		k.bodyRequired = op.RequestBody.Value.Required
		if n, given := op.Extensions["x-max-body"].(float64); given {
			k.maxBody = int64(n)
		}
	}
	return k, nil
}

// check holds a request to the contract and leaves behind the body as it was
// checked, so that handlers decode that and nothing else. Errors: not_found for
// a path that cannot name anything, malformed_request for what cannot be read,
// payload_too_large, unsupported_media_type, validation_failed.
func (k contract) check(c echo.Context) error {
	for i, name := range c.ParamNames() {
		if pattern := k.path[name]; pattern == nil || !pattern.MatchString(c.ParamValues()[i]) {
			return domain.NotFound()
		}
	}
	if err := k.checkQuery(c.Request().URL.RawQuery); err != nil {
		return err
	}
	if err := k.checkHeader(c.Request().Header); err != nil {
		return err
	}
	if k.body == nil {
		return nil
	}
	return k.checkBody(c.Request(), c.Response().Writer)
}

func (k contract) checkQuery(raw string) error {
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil || !utf8.ValidString(strings.Join(slices.Concat(slices.Collect(maps.Values(query))...), "")) {
		return domain.Errorf(domain.CodeMalformedRequest, "The query of the address is not well-formed.")
	}
	var v domain.Invalid
	for _, name := range slices.Sorted(maps.Keys(query)) {
		schema, known := k.query[name]
		switch values := query[name]; {
		case !known:
			v.Add(shown(name), "is not a parameter of this operation")
		case len(values) > 1:
			v.Add(name, "was given more than once")
		case strings.ContainsRune(values[0], 0):
			v.Add(name, "must not hold NUL")
		default:
			for _, f := range violations(schema, parameter(schema, values[0])) {
				v.Add(name, "%s", f.Detail)
			}
		}
	}
	return v.Err()
}

func (k contract) checkHeader(header http.Header) error {
	var v domain.Invalid
	for name, schema := range k.header {
		switch values := header.Values(name); len(values) {
		case 0:
		case 1:
			for _, f := range violations(schema, values[0]) {
				v.Add(name, "%s", f.Detail)
			}
		default:
			v.Add(name, "was given more than once")
		}
	}
	return v.Err()
}

// parameter reads a query value as what its schema asks for; what cannot be read
// so stays a string, which the schema then refuses.
func parameter(schema *openapi3.Schema, value string) any {
	if schema.Type.Is(openapi3.TypeInteger) {
		if n, err := strconv.ParseInt(value, 10, 32); err == nil {
			return float64(n)
		}
	}
	return value
}
