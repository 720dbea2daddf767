package service_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// A new signing key is published for a minute before it signs, and the one before it is
// believed for ten minutes more: twice as long as its last token lives.
func TestTurnsOfSigningKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ctx := w.Context()
	w.signUp("ann@example.com")
	signedBy := func() (id string) {
		t.Helper()
		in, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)
		head, _, _ := strings.Cut(in.AccessToken, ".")
		text, err := base64.RawURLEncoding.DecodeString(head)
		w.check(err)
		var header struct {
			Kid string `json:"kid"`
		}
		w.check(json.Unmarshal(text, &header))
		return header.Kid
	}
	first := signedBy()
	w.Pass(time.Hour)
	second, err := w.RotateSigningKey(ctx, domain.System(), false)
	w.check(err)
	for _, c := range []struct {
		pass  time.Duration
		signs string
		keys  int
	}{
		{0, first, 2}, {time.Minute - time.Microsecond, first, 2}, {time.Microsecond, second, 2},
		{10*time.Minute - time.Microsecond, second, 2}, {time.Microsecond, second, 1},
	} {
		w.Pass(c.pass)
		if got := signedBy(); got != c.signs || len(w.JWKS(ctx).Keys) != c.keys {
			t.Errorf("after %s more: signed by %s, %d keys, want %s and %d", c.pass, got, len(w.JWKS(ctx).Keys), c.signs, c.keys)
		}
	}
}

// A node remembers keys by default.
func TestMemoryOfKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	_, p := w.tenant(w.signUp("ann@example.com"))
	before := w.CacheStats()
	_, token, _ := w.key(p)
	for range 2 {
		_, err := w.ProveKey(w.Context(), token, nil)
		w.check(err)
	}
	if now := w.CacheStats(); now.Hits < before.Hits+2 || now.Keys < 1 || now.Evictions != 0 {
		t.Errorf("got %+v after %+v, want what is remembered", now, before)
	}
}
