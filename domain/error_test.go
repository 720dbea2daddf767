package domain_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestCodeOf(t *testing.T) {
	t.Parallel()
	var nothing, something domain.Invalid
	something.Add("/name", "must not be %s", "empty")
	for _, test := range []struct {
		err  error
		want domain.Code
	}{
		{nil, ""},
		{domain.NotFound(), domain.CodeNotFound},
		{fmt.Errorf("load: %w", domain.Refused(domain.CodeKeyRevoked, "d")), domain.CodeKeyRevoked},
		{errors.Join(io.EOF, domain.Unavailable(io.EOF)), domain.CodeUnavailable},
		{io.EOF, domain.CodeInternal},
		{nothing.Err(), ""},
		{something.Err(), domain.CodeValidationFailed},
	} {
		if got := domain.CodeOf(test.err); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
	if err := domain.Unavailable(io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("%v does not unwrap to its cause", err)
	}
}

func TestErrorIsWrittenForTheLog(t *testing.T) {
	t.Parallel()
	err := &domain.Error{
		Code: domain.CodeValidationFailed, Detail: "Two are wrong.", Err: io.EOF,
		Fields: []domain.FieldError{{Pointer: "/a", Detail: "x"}, {Pointer: "/b", Detail: "y"}},
	}
	bare := domain.Errorf(domain.CodeConflict, "%d of them.", 2)
	if got, want := bare.Error(), "conflict: 2 of them."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (&domain.Error{Code: domain.CodeInternal}).Error(), "internal"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := err.Error(), "validation_failed: Two are wrong. [/a: x] [/b: y]: EOF"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
