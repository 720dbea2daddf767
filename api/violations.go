package api

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/domain"
)

// maxFieldErrors is how many wrong fields an answer names.
const maxFieldErrors = 20

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
