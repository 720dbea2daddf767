package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-dev/latchkey/domain"
)

// These limits bound the cost of a body for every operation. It is read once, from
// start to end, and reading stops as soon as the refusal is known. Work and memory
// are at most proportional to the body's length.
const (
	// maxDepth is how deep a body may nest. No valid body nests deeper than 4.
	maxDepth = 16

	// maxFieldErrors is how many field errors an answer has. Reading stops there.
	maxFieldErrors = 20

	// maxUnwanted is how many values are read that no valid body has: values of
	// unknown fields, of wrong types, and beyond the bounds of arrays and objects.
	// They are read because a body that is not JSON is refused for that first.
	maxUnwanted = 1000

	// heedEvery is the number of values between checks whether the client has left.
	heedEvery = 256
)

// checker checks the text of a body against a schema. Messages contain schemas and
// pointers, but never values, which may be secrets.
type checker struct {
	ctx      context.Context //nolint:containedctx // a checker lives as long as the request that it reads
	dec      *jsontext.Decoder
	faults   domain.Invalid
	unwanted int // how many more values may be read that no valid body has
	values   int // how many have been read
	buffer   []byte
}

// errRefused stops reading a body once enough is known to refuse it.
var errRefused = errors.New("the body is refused")

// checkText returns nil for JSON that the schema allows. It is as strict as JSON
// allows: one value with nothing after it, no duplicate name in an object, valid
// UTF-8 (RFC 7493), and no NUL, which databases cannot store. Errors:
// malformed_request, validation_failed, the context's.
func (s *schema) checkText(ctx context.Context, text []byte) error {
	k := checker{ctx: ctx, dec: jsontext.NewDecoder(bytes.NewBuffer(text)), unwanted: maxUnwanted}
	err := k.value(s)
	if err == nil {
		if _, err = k.dec.ReadToken(); err == nil {
			err = notJSON(k.dec.InputOffset())
		} else if errors.Is(err, io.EOF) {
			err = k.faults.Err()
		}
	}
	if errors.Is(err, errRefused) {
		return k.faults.Err()
	}
	return malformed(err)
}

// value reads one value. Without a schema, no valid body has the value.
func (k *checker) value(s *schema) error {
	if err := k.count(s); err != nil {
		return err
	}
	kind := k.dec.PeekKind()
	if kind == '{' || kind == '[' {
		return k.container(s, kind)
	}
	raw, err := k.dec.ReadValue()
	if err != nil {
		return err
	}
	why, err := k.scalar(s, kind, raw)
	if err != nil || why == "" {
		return err
	}
	return k.add(string(k.dec.StackPointer()), why)
}

// count stops reading a body with too many unwanted values, and one whose client
// has left.
func (k *checker) count(s *schema) error {
	if k.values++; k.values%heedEvery == 0 && k.ctx.Err() != nil {
		return k.ctx.Err()
	}
	if s != nil {
		return nil
	}
	if k.unwanted--; k.unwanted < 0 {
		return errRefused
	}
	return nil
}

// add records the first error of a field.
func (k *checker) add(at, why string) error {
	if slices.ContainsFunc(k.faults, func(f domain.FieldError) bool { return f.Pointer == at }) {
		return nil
	}
	if k.faults.Add(at, "%s", why); len(k.faults) == maxFieldErrors {
		return errRefused
	}
	return nil
}

// scalar returns what is wrong with a value that is not an array or an object.
func (k *checker) scalar(s *schema, kind jsontext.Kind, raw jsontext.Value) (why string, err error) {
	switch kind {
	case '"':
		text, err := k.unquote(raw)
		if err != nil || s == nil {
			return "", err
		}
		return s.text(text), nil
	case '0':
		if s != nil && s.kind == openapi3.TypeInteger {
			return s.number(raw), nil
		}
		if _, err := strconv.ParseFloat(string(raw), 64); err != nil {
			return "", domain.Errorf(domain.CodeMalformedRequest, "The body holds a number that is out of range.")
		}
		if s == nil {
			return "", nil
		}
		return s.expected(), nil
	}
	switch {
	case s == nil:
		return "", nil
	case kind == 'n' && !s.nullable:
		return "must not be null", nil
	case kind != 'n' && s.kind != openapi3.TypeBoolean:
		return s.expected(), nil
	}
	return "", nil
}

// unquote returns the text of a JSON string. It is valid until the next call.
func (k *checker) unquote(raw jsontext.Value) (text []byte, err error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	k.buffer, err = jsontext.AppendUnquote(slices.Grow(k.buffer[:0], len(raw)), raw)
	return k.buffer, err
}

// container reads an array or an object.
func (k *checker) container(s *schema, kind jsontext.Kind) error {
	if k.dec.StackDepth() == maxDepth {
		return domain.Errorf(domain.CodeMalformedRequest, "The body nests deeper than %d levels.", maxDepth)
	}
	if _, err := k.dec.ReadToken(); err != nil {
		return err
	}
	read, want := k.array, openapi3.TypeArray
	if kind == '{' {
		read, want = k.object, openapi3.TypeObject
	}
	if s != nil && s.kind != want && s.instead != nil {
		s = s.instead
	}
	var at string // stays empty without a schema: no pointer is needed there
	if s != nil {
		at = string(k.dec.StackPointer())
	}
	if s != nil && s.kind != want {
		if err := k.add(at, s.expected()); err != nil {
			return err
		}
		s = nil
	}
	if err := read(s, at); err != nil {
		return err
	}
	_, err := k.dec.ReadToken()
	return err
}

// array reads the items of an array. Items beyond its bound are unwanted.
func (k *checker) array(s *schema, at string) error {
	n := uint64(0)
	for ; k.more(']'); n++ {
		var items *schema
		if s != nil && n < s.most {
			items = s.items
		}
		if s != nil && n == s.most {
			if err := k.add(at, "must have "+s.bounds()+" entries"); err != nil {
				return err
			}
		}
		if err := k.value(items); err != nil {
			return err
		}
	}
	if s != nil && n < s.least {
		return k.add(at, "must have "+s.bounds()+" entries")
	}
	return nil
}

// object reads the fields of an object. Fields beyond its bound are unwanted.
func (k *checker) object(s *schema, at string) error {
	n := uint64(0)
	var missing []string
	if s != nil {
		missing = slices.Clone(s.required)
	}
	for ; k.more('}'); n++ {
		name, err := k.name(s, at)
		if err != nil {
			return err
		}
		field, err := k.field(s, at, name, n)
		if err != nil {
			return err
		}
		missing = slices.DeleteFunc(missing, func(m string) bool { return m == string(name) })
		if err := k.value(field); err != nil {
			return err
		}
	}
	if s != nil && n < s.least {
		if err := k.add(at, "must have "+s.bounds()+" fields"); err != nil {
			return err
		}
	}
	for _, name := range missing {
		if err := k.add(at+"/"+escape(name), "is required"); err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) more(end jsontext.Kind) bool {
	kind := k.dec.PeekKind()
	return kind != end && kind != 0
}

// name reads the name of the next field of an object. The name is valid until the
// next value is read.
func (k *checker) name(s *schema, at string) ([]byte, error) {
	raw, err := k.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	name, err := k.unquote(raw)
	if err == nil && s != nil && bytes.IndexByte(name, 0) >= 0 {
		err = k.add(at, "must not have names that hold NUL")
	}
	return name, err
}

// field returns the schema of an object's next field, or nil for a field that the
// object may not have.
func (k *checker) field(s *schema, at string, name []byte, before uint64) (*schema, error) {
	switch {
	case s == nil || before > s.most:
		return nil, nil //nolint:nilnil // such a field has no schema
	case before == s.most:
		return nil, k.add(at, "must have "+s.bounds()+" fields")
	case s.fields[string(name)] != nil:
		return s.fields[string(name)], nil
	case s.others != nil:
		return s.others, nil
	}
	begins := string(name[:min(len(name), maxShown+1)]) // longer than any known field; the whole name may be as long as the body
	return nil, k.add(at+"/"+escape(shown(begins)), s.unknown(begins))
}

func notJSON(from int64) error {
	return domain.Errorf(domain.CodeMalformedRequest, "The body is not valid JSON, from byte %d on.", from)
}

// malformed returns what a decoder's error means to the sender.
func malformed(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return domain.Errorf(domain.CodeMalformedRequest, "The body is not valid JSON: the same name appears twice in one object.")
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return notJSON(e.ByteOffset)
	}
	if errors.Is(err, io.EOF) {
		return notJSON(0) // only spaces
	}
	return err
}

// escape writes a name as a part of a JSON Pointer (RFC 6901, section 3).
func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// maxShown is how much of an unknown name an answer repeats.
const maxShown = 40

// shown shortens an unknown name.
func shown(name string) string {
	if len(name) <= maxShown {
		return name
	}
	return strings.ToValidUTF8(name[:maxShown], "") + "…"
}
