package service

import (
	"context"
	"runtime"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that tokens which cost a PBKDF2 each, however many are sent, leave
// half of the cores to everybody else, and that who gets no turn is told so.
func TestForeignHashingIsBounded(t *testing.T) {
	t.Parallel()
	a := &App{foreignHashing: foreignHashing(), keyring: &keyring{}}
	if got, want := cap(a.foreignHashing), max(1, runtime.GOMAXPROCS(0)/2); got != want {
		t.Fatalf("got %d at once, want %d", got, want)
	}
	for range cap(a.foreignHashing) {
		a.foreignHashing <- struct{}{} // a flood is under way
	}
	slow := domain.Secret{Algorithm: domain.DjangoPBKDF2SHA256, Parameters: "1$salt"}
	if _, err := a.matchesForeign(t.Context(), slow, "x"); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if match, err := a.matchesForeign(ctx, domain.Secret{Algorithm: domain.DjangoSHA512}, "x"); match || err != nil {
		t.Errorf("got %v, %v: what is cheap needs no turn", match, err)
	}
}
