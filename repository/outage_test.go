package repository_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// A lost connection is an outage and not an internal error, in every form that
// it takes.
func TestLostConnectionIsUnavailable(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Postgres(t))
	for _, lost := range []error{driver.ErrBadConn, sql.ErrConnDone, sql.ErrTxDone, io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded} {
		err := s.InTx(t.Context(), func(context.Context, *repository.Store) error { return fmt.Errorf("commit: %w", lost) })
		if got, want := domain.CodeOf(err), domain.CodeUnavailable; got != want {
			t.Errorf("%v is %q, want %q", lost, got, want)
		}
	}
}
