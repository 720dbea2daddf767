package api

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	// maxBody is how large a request body may be, in bytes, unless the operation's
	// x-max-body says otherwise.
	maxBody = 64 * 1024

	// maxDepth is how deep a body may nest. No body that we take goes deeper than 3.
	maxDepth = 16

	// maxFieldErrors is how many wrong fields are told at once.
	maxFieldErrors = 20
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

func (k contract) checkBody(r *http.Request, w http.ResponseWriter) error {
	if encoding := r.Header.Get(echo.HeaderContentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return domain.Errorf(domain.CodeUnsupportedMediaType, "Send the body uncompressed.")
	}
	data, err := readBody(r, w, k.maxBody)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		if k.bodyRequired {
			return domain.Errorf(domain.CodeMalformedRequest, "This operation needs a JSON body.")
		}
		r.Body, r.ContentLength = http.NoBody, 0
		return nil
	}
	if !isJSON(r.Header) {
		return domain.Errorf(domain.CodeUnsupportedMediaType, "Send the body as JSON, with Content-Type: application/json.")
	}
	value, err := decode(data)
	if err != nil {
		return err
	}
	if v := violations(k.body, value); len(v) > 0 {
		return v.Err()
	}
	r.Body = checkedBody{http.NoBody, value}
	return nil
}

// checkedBody is a request body that has been read and checked already. The
// generated code takes the value from here instead of decoding the text again by
// other rules, such as ignoring letter case.
type checkedBody struct {
	io.ReadCloser
	value any
}

// ValidatedValue returns the body as it was checked.
func (b checkedBody) ValidatedValue() any { return b.value }

func readBody(r *http.Request, w http.ResponseWriter, longest int64) ([]byte, error) {
	tooLarge := domain.Errorf(domain.CodePayloadTooLarge, "The body may have at most %d bytes.", longest)
	if r.ContentLength > longest {
		return nil, tooLarge
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longest))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil {
		return nil, &domain.Error{Code: domain.CodeMalformedRequest, Detail: "The body ended before it was complete.", Err: err}
	}
	return data, nil
}

// isJSON reports whether the body is declared to be JSON, in UTF-8 as RFC 8259,
// section 8.1, has it.
func isJSON(h http.Header) bool {
	declared := h.Values(echo.HeaderContentType)
	if len(declared) != 1 {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(declared[0])
	charset, given := params["charset"]
	return err == nil && mediaType == echo.MIMEApplicationJSON && (!given || strings.EqualFold(charset, "utf-8"))
}

// decode reads a body as strictly as JSON can be read: one value and nothing
// behind it, no name twice in an object, valid UTF-8 (RFC 7493), and no NUL,
// which databases cannot hold.
func decode(data []byte) (any, error) {
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, malformed(err)
	}
	var v domain.Invalid
	if !inspect(&v, value, "", 1) {
		return nil, domain.Errorf(domain.CodeMalformedRequest, "The body nests deeper than %d levels.", maxDepth)
	}
	return value, v.Err()
}

func malformed(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return domain.Errorf(domain.CodeMalformedRequest, "The body is not valid JSON: the same name stands twice in one object.")
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return domain.Errorf(domain.CodeMalformedRequest, "The body is not valid JSON, from byte %d on.", e.ByteOffset)
	}
	return domain.Errorf(domain.CodeMalformedRequest, "The body holds a number that is out of range.") // nothing else is left to go wrong
}

// inspect notes every NUL, and reports whether value is not too deep.
func inspect(v *domain.Invalid, value any, at string, depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch value := value.(type) {
	case string:
		if strings.ContainsRune(value, 0) {
			v.Add(at, "must not hold NUL")
		}
	case []any:
		for i, item := range value {
			if !inspect(v, item, at+"/"+strconv.Itoa(i), depth+1) {
				return false
			}
		}
	case map[string]any:
		for name, item := range value {
			if strings.ContainsRune(name, 0) {
				v.Add(at, "must not have names that hold NUL")
			}
			if !inspect(v, item, at+"/"+escape(name), depth+1) {
				return false
			}
		}
	}
	return true
}

// timestamps is what a time in a request must be. Before 1970 there were no
// keys; the zero time would read as never.
var timestamps = openapi3.NewCallbackValidator(func(s string) error {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Unix() < 0 {
		return errors.New("not a time")
	}
	return nil
})

// violations says where value departs from the schema, each field once.
func violations(schema *openapi3.Schema, value any) domain.Invalid {
	err := schema.VisitJSON(value, openapi3.VisitAsRequest(), openapi3.MultiErrors(), openapi3.EnableFormatValidation(),
		openapi3.WithStringFormatValidator("date-time", timestamps))
	if err == nil {
		return nil
	}
	var v domain.Invalid
	for _, e := range flatten(err) {
		for _, f := range fieldErrors(e) {
			known := slices.ContainsFunc(v, func(g domain.FieldError) bool { return g.Pointer == f.Pointer })
			if !known && len(v) < maxFieldErrors {
				v = append(v, f)
			}
		}
	}
	return v
}

func flatten(err error) []*openapi3.SchemaError {
	if many, ok := errors.AsType[openapi3.MultiError](err); ok {
		var all []*openapi3.SchemaError
		for _, one := range many {
			all = append(all, flatten(one)...)
		}
		return all
	}
	if one, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		return []*openapi3.SchemaError{one}
	}
	return []*openapi3.SchemaError{{Reason: "is not what this operation takes"}}
}

func fieldErrors(e *openapi3.SchemaError) []domain.FieldError {
	var pointer strings.Builder
	for _, name := range e.JSONPointer() {
		pointer.WriteString("/" + escape(name))
	}
	at := pointer.String()
	if e.SchemaField != "properties" {
		return []domain.FieldError{{Pointer: at, Detail: sentence(e)}}
	}
	var unknown []domain.FieldError
	object, _ := e.Value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if e.Schema.Properties[name] == nil {
			unknown = append(unknown, domain.FieldError{Pointer: at + "/" + escape(shown(name)), Detail: unknownField(e.Schema, name)})
		}
	}
	return unknown
}

func unknownField(schema *openapi3.Schema, name string) string {
	for known := range schema.Properties {
		if strings.EqualFold(known, name) {
			return "is not a field of this request; the name is " + known
		}
	}
	return "is not a field of this request"
}

// sentence says what a value must be, in the words of package domain.
func sentence(e *openapi3.SchemaError) string {
	s := e.Schema
	switch e.SchemaField {
	case "required":
		return "is required"
	case "nullable":
		return "must not be null"
	case "type":
		return "must be " + map[string]string{
			openapi3.TypeString: "a string", openapi3.TypeInteger: "an integer", openapi3.TypeNumber: "a number",
			openapi3.TypeBoolean: "true or false", openapi3.TypeArray: "an array", openapi3.TypeObject: "an object",
		}[strings.Join(s.Type.Slice(), "")]
	case "enum":
		return "must be one of " + strings.Trim(fmt.Sprint(s.Enum), "[]")
	case "pattern", "format":
		if s.Format == "" {
			return "must match " + s.Pattern
		}
		return "must be a time as RFC 3339 has it, such as 2026-03-02T09:30:00Z, and not before 1970"
	case "minLength", "maxLength":
		return "must be " + bounds(s.MinLength, s.MaxLength) + " characters"
	case "minItems", "maxItems":
		return "must have " + bounds(s.MinItems, s.MaxItems) + " entries"
	case "minProperties", "maxProperties":
		return "must have " + bounds(s.MinProps, s.MaxProps) + " fields"
	case "minimum", "maximum":
		if s.Min != nil && s.Max != nil {
			return fmt.Sprintf("must be %g to %g", *s.Min, *s.Max)
		}
	}
	return "is not what this operation takes"
}

func bounds(least uint64, most *uint64) string {
	switch {
	case most == nil:
		return fmt.Sprintf("at least %d", least)
	case least == 0:
		return fmt.Sprintf("at most %d", *most)
	}
	return fmt.Sprintf("%d to %d", least, *most)
}

// escape writes a name as a part of a JSON Pointer (RFC 6901, section 3).
func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// maxShown is how much of a name that we do not know is repeated to its sender.
const maxShown = 40

// shown cuts a stranger's name short.
func shown(name string) string {
	if len(name) <= maxShown {
		return name
	}
	return strings.ToValidUTF8(name[:maxShown], "") + "…"
}
