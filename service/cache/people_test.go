package cache

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that an access token which was being verified while everything was
// forgotten, as it is when a signing key is disowned, is not remembered, though
// its session has been read again since.
func TestRememberTokenAfterForgetting(t *testing.T) {
	t.Parallel()
	p := NewPeople(Turns())
	now := time.Now()
	read := func(context.Context) (domain.CallingUser, error) { return domain.CallingUser{}, nil }
	remembered := func(since int) bool {
		t.Helper()
		if _, err := p.Session(t.Context(), "ses_1", read); err != nil {
			t.Fatal(err)
		}
		p.RememberToken(since, TokenDigest{1}, "ses_1", now.Add(time.Minute), now)
		_, ok := p.ByToken(TokenDigest{1}, now)
		return ok
	}
	before := p.Since()
	if !remembered(before) {
		t.Error("a good token is not remembered")
	}
	p.ForgetAll()
	if _, ok := p.ByToken(TokenDigest{1}, now); ok {
		t.Error("the token is not forgotten")
	}
	if remembered(before) {
		t.Error("a token that was verified before is remembered")
	}
	if !remembered(p.Since()) {
		t.Error("a token that was verified since is not remembered")
	}
}
