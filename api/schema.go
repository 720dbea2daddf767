package api

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/domain"
)

// schema is what openapi.yaml says about one value of a request, in a form for
// checking requests. It supports only what the contract uses.
type schema struct {
	kind     string // of openapi3.TypeString and the like
	nullable bool
	enum     []string
	pattern  *regexp.Regexp
	isTime   bool
	least    uint64 // characters, items or fields
	most     uint64
	min, max float64 // of an integer

	items    *schema            // of an array
	fields   map[string]*schema // of an object
	others   *schema            // of an object: the schema of names that are not in fields; nil: there are none
	required []string

	instead *schema // of an object: the array that may be in its place; nil: none
}

var errUnknownKeyword = errors.New("the schema has a keyword that requests cannot be held to")

// newSchema returns the schema of a request's value. It fails if the schema has
// something that is not checked here, because a limit without effect would be
// worse than none.
func newSchema(s *openapi3.Schema) (*schema, error) {
	if len(s.OneOf) == 2 {
		return newEither(s.OneOf[0].Value, s.OneOf[1].Value)
	}
	if s.OneOf != nil || s.AnyOf != nil || s.AllOf != nil || s.Not != nil || s.UniqueItems || s.MultipleOf != nil ||
		s.ExclusiveMin.IsTrue() || s.ExclusiveMax.IsTrue() || len(s.Type.Slice()) != 1 {
		return nil, errUnknownKeyword
	}
	built := &schema{kind: s.Type.Slice()[0], nullable: s.Nullable, most: math.MaxUint64, isTime: s.Format == "date-time"}
	var err error
	switch built.kind {
	case openapi3.TypeBoolean:
	case openapi3.TypeInteger:
		if s.Min == nil || s.Max == nil {
			return nil, fmt.Errorf("%w: an integer without both bounds", errUnknownKeyword)
		}
		built.min, built.max = *s.Min, *s.Max
	case openapi3.TypeString:
		built.bound(s.MinLength, s.MaxLength)
		for _, v := range s.Enum {
			built.enum = append(built.enum, fmt.Sprint(v))
		}
		if s.Pattern != "" {
			built.pattern, err = regexp.Compile(s.Pattern)
		}
	case openapi3.TypeArray:
		built.bound(s.MinItems, s.MaxItems)
		built.items, err = newSchema(s.Items.Value)
	case openapi3.TypeObject:
		built.bound(s.MinProps, s.MaxProps)
		err = built.addFields(s)
	default:
		return nil, fmt.Errorf("%w: type %s", errUnknownKeyword, built.kind)
	}
	return built, err
}

// newEither returns the schema of an object or an array: what a value begins with says
// which one it is.
func newEither(object, array *openapi3.Schema) (*schema, error) {
	if !object.Type.Is(openapi3.TypeObject) || !array.Type.Is(openapi3.TypeArray) {
		return nil, errUnknownKeyword
	}
	built, err := newSchema(object)
	if err == nil {
		built.instead, err = newSchema(array)
	}
	return built, err
}

func (s *schema) bound(least uint64, most *uint64) {
	s.least = least
	if most != nil {
		s.most = *most
	}
}

func (s *schema) addFields(of *openapi3.Schema) (err error) {
	s.fields, s.required = map[string]*schema{}, of.Required
	for name, ref := range of.Properties {
		if s.fields[name], err = newSchema(ref.Value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	switch others := of.AdditionalProperties; {
	case others.Schema != nil:
		s.others, err = newSchema(others.Schema.Value)
	case others.Has == nil || *others.Has:
		err = fmt.Errorf("%w: an object that takes any name", errUnknownKeyword)
	}
	return err
}

// text returns what is wrong with a string, or "".
func (s *schema) text(value []byte) string {
	n := uint64(utf8.RuneCount(value)) //nolint:gosec // a length is not negative
	switch {
	case s.kind != openapi3.TypeString:
		return s.expected()
	case bytes.IndexByte(value, 0) >= 0:
		return "must not hold NUL"
	case s.enum != nil && !slices.Contains(s.enum, string(value)):
		return s.expected()
	case n < s.least || n > s.most:
		return "must be " + s.bounds() + " characters"
	}
	if s.isTime {
		if _, ok := domain.ParseTime(string(value)); !ok {
			return "must be a time as RFC 3339 has it, such as 2026-03-02T09:30:00Z, and not before 1970"
		}
		return ""
	}
	if s.pattern != nil && !s.pattern.Match(value) {
		return "must match " + s.pattern.String()
	}
	return ""
}

// number returns what is wrong with a number where an integer belongs, or "".
func (s *schema) number(text []byte) string {
	n, ok := parseInteger(text)
	if !ok {
		return s.expected()
	}
	return s.within(n)
}

// within returns what is wrong with an integer, or "".
func (s *schema) within(n float64) string {
	if n < s.min || n > s.max {
		return fmt.Sprintf("must be %.0f to %.0f", s.min, s.max)
	}
	return ""
}

// parameter returns what is wrong with a value of the query or of a header, or "".
func (s *schema) parameter(value string) string {
	if s.kind != openapi3.TypeInteger {
		return s.text([]byte(value))
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return s.expected()
	}
	return s.within(float64(n))
}

// expected says which kind of value is expected.
func (s *schema) expected() string {
	if s.instead != nil {
		return "must be an object or an array"
	}
	if s.enum != nil {
		return "must be one of " + strings.Join(s.enum, " ")
	}
	return "must be " + map[string]string{
		openapi3.TypeString: "a string", openapi3.TypeInteger: "an integer", openapi3.TypeBoolean: "true or false",
		openapi3.TypeArray: "an array", openapi3.TypeObject: "an object",
	}[s.kind]
}

func (s *schema) bounds() string {
	switch {
	case s.most == math.MaxUint64:
		return fmt.Sprintf("at least %d", s.least)
	case s.least == 0:
		return fmt.Sprintf("at most %d", s.most)
	}
	return fmt.Sprintf("%d to %d", s.least, s.most)
}

// unknown returns the message for a field that the object does not have.
func (s *schema) unknown(name string) string {
	for known := range s.fields {
		if strings.EqualFold(known, name) {
			return "is not a field of this request; the name is " + known
		}
	}
	return "is not a field of this request"
}
