package api

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"
	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/domain"
)

// checkedBody is a request body that has been read and checked against the
// contract. Only the binder reads its text; as a reader it is empty.
type checkedBody struct {
	io.ReadCloser

	text []byte // empty: the request has no body
}

// binder gives handlers the checked body, decoded by the same rules. If a checked
// body does not bind, that is an internal error, and never an empty body.
// Requests to routes outside the contract are bound by Echo.
type binder struct{ echo.DefaultBinder }

// Bind implements echo.Binder.
func (b *binder) Bind(target any, c echo.Context) error {
	body, checked := c.Request().Body.(checkedBody)
	switch {
	case !checked:
		return b.DefaultBinder.Bind(target, c)
	case len(body.text) == 0:
		return io.EOF // this means "no body" to the generated code
	}
	switch target := target.(type) {
	case *ImportBody:
		target.text = body.text
		return nil
	case *LeakBody:
		return target.read(body.text)
	}
	err := json.Unmarshal(body.text, target, bound)
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("a checked body does not bind at %s to %v", e.JSONPointer, e.GoType) // without its value, which may be a secret
	}
	return err
}

// bound has the options to decode checked bodies with. Without these functions,
// the types' own methods would decode with encoding/json, which is more lenient.
var bound = json.JoinOptions(json.RejectUnknownMembers(true), json.WithUnmarshalers(json.JoinUnmarshalers(
	json.UnmarshalFromFunc(bindInteger[int]), json.UnmarshalFromFunc(bindInteger[int64]),
	json.UnmarshalFromFunc(bindAllowance), json.UnmarshalFromFunc(bindTime),
	json.UnmarshalFromFunc(bindNullable[string]), json.UnmarshalFromFunc(bindNullable[time.Time]),
	json.UnmarshalFromFunc(bindNullable[bool]),
	json.UnmarshalFromFunc(bindNullable[[]string]), json.UnmarshalFromFunc(bindNullable[map[string]string]),
)))

var errNotBound = errors.New("is not what the contract was checked for")

// bindInteger reads an integer as the checker does.
func bindInteger[T int | int64](d *jsontext.Decoder, n *T) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	f, ok := parseInteger(raw)
	if !ok || math.IsInf(f, 0) {
		return errNotBound
	}
	*n = T(f)
	return nil
}

// bindAllowance reads an integer, or null for no limit.
func bindAllowance(d *jsontext.Decoder, a *domain.Allowance) error {
	if d.PeekKind() == 'n' {
		*a = domain.Unlimited()
		return d.SkipValue()
	}
	var n int64
	if err := bindInteger(d, &n); err != nil {
		return err
	}
	*a = domain.Allow(n)
	return nil
}

// bindTime reads a time and converts it to UTC.
func bindTime(d *jsontext.Decoder, t *time.Time) error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	var ok bool
	if *t, ok = domain.ParseTime(token.String()); !ok {
		return errNotBound
	}
	return nil
}

func bindNullable[T any](d *jsontext.Decoder, n *nullable.Nullable[T]) error {
	if d.PeekKind() == 'n' {
		n.SetNull()
		return d.SkipValue()
	}
	var value T
	if err := json.UnmarshalDecode(d, &value); err != nil {
		return err
	}
	n.Set(value)
	return nil
}
