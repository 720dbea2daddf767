package service_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that a stored password hash is used only in the two forms that this
// program writes, and that none costs more than its bounds.
func TestStoredHashesAtTheirBounds(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }
	hash := func(parameters string, salt, key int) string {
		return "$argon2id$v=19$" + parameters + "$" + text(salt) + "$" + text(key)
	}
	const usual = "m=19456,t=2,p=1"
	for stored, good := range map[string]bool{
		hash(usual, 16, 32): true, strings.Replace(hash(usual, 16, 32), "$argon2id$v=19$", "$latchkey-argon2id$v=1$", 1): true,
		hash("m=8,t=1,p=1", 8, 16): true, hash("m=7,t=1,p=1", 8, 16): false, hash("m=65536,t=8,p=4", 64, 64): true,
		hash("m=65537,t=8,p=4", 64, 64): false, hash("m=65536,t=9,p=4", 64, 64): false, hash("m=65536,t=8,p=5", 64, 64): false,
		hash("m=8,t=0,p=1", 16, 32): false, hash("m=8,t=1,p=0", 16, 32): false, hash("m=08,t=1,p=1", 16, 32): false,
		hash("m=8,t=1", 16, 32): false, hash("m=8,t=1,p=1,x", 16, 32): false, hash("t=1,m=8,p=1", 16, 32): false,
		hash(usual, 7, 32): false, hash(usual, 65, 32): false, hash(usual, 16, 15): false, hash(usual, 16, 65): false,
		hash(usual, 16, 32) + "$": false, hash(usual, 16, 32) + "!": false, strings.Replace(hash(usual, 16, 32), "$AAA", "$!AA", 1): false,
		"": false, "$argon2id$v=19$": false, "$argon2id$v=19$" + usual: false, "!" + hash(usual, 16, 32): false,
		strings.Replace(hash(usual, 16, 32), "v=19", "v=16", 1): false, "$2b$12$" + strings.Repeat("a", 53): false,
	} {
		if err := service.ParsePasswordHash(stored); (err == nil) != good {
			t.Errorf("%s: got %v, want it taken: %v", stored, err, good)
		}
	}
	w := newWorld(t, storetest.SQLite(t))
	plain, other := hash(usual, 16, 32), hash(usual, 16, 31)
	bound := w.Bound("usr_1", plain)
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{plain, plain, true}, {plain, bound, true}, {bound, plain, true}, {plain, other, false}, {plain, w.Bound("usr_2", plain), false},
		{"x", "x", true}, {"x", plain, false}, {plain, "x", false}, {"x", "y", false},
	} {
		if got := w.SamePassword("usr_1", c.a, c.b); got != c.want {
			t.Errorf("%s and %s: got %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// Guarantees that a token that was made elsewhere is known up to its longest, and that
// longer ones are no look-up.
func TestLongestForeignToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	_, p := w.tenant(w.signUp("ann@example.com"))
	for n, want := range map[int]domain.Code{512: "", 513: domain.CodeInvalidAPIKey} {
		token := strings.Repeat("x", n)
		sum := sha256.Sum256([]byte(token))
		row := domain.ImportRow{Name: "old", Algorithm: domain.SHA256Hex, Hash: domain.Hidden(hex.EncodeToString(sum[:]))}
		result, err := p.ImportKeys(w.Context(), slices.Values([]domain.ImportRow{row}))
		if err != nil || result.Imported != 1 {
			t.Fatalf("got %+v, %v", result, err)
		}
		if _, err := w.ProveKey(w.Context(), token, nil); domain.CodeOf(err) != want {
			t.Errorf("%d bytes: got %v, want %q", n, err, want)
		}
	}
}

// Guarantees that an account that was disabled gets no email that lets its owner in, and
// that no one can tell from the answer.
func TestNoEmailForADisabledAccount(t *testing.T) {
	t.Parallel()
	w, office := newWorld(t, storetest.SQLite(t)), &postOffice{}
	app := w.Another(service.Options{Mailer: office})
	user, _ := w.signUp("ann@example.com").User()
	for status, want := range map[domain.Status]string{domain.Disabled: "", domain.Active: "password-reset"} {
		_, err := w.SetUserStatus(w.Context(), domain.System(), user.User.ID, status)
		w.check(err)
		w.check(app.ForgotPassword(w.Context(), domain.Origin{IP: "192.0.2.1"}, "ann@example.com"))
		w.check(app.ForgotPassword(w.Context(), domain.Origin{IP: "192.0.2.1"}, "no-one@example.com"))
		if got := kinds(office.collect(app)); strings.TrimSpace(got) != want {
			t.Errorf("%s: got %q, want %q", status, got, want)
		}
	}
}
