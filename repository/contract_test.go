package repository_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

func TestContract(t *testing.T) {
	for name, dsn := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t testing.TB) *repository.Store { return storetest.NewBreakable(t, dsn(t)) })
		})
	}
}
