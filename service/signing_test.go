package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that rotating the key that signs access tokens refuses no one: the
// new key is published before it signs, the old one is believed while a token of
// it may live, and other nodes follow by themselves. And that a key that is not
// to be trusted is refused immediately.
func TestRotateSigningKey(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		ann := w.signUp("ann@example.com")
		other := w.Another(service.Options{})
		logIn := func() string {
			in, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
			w.check(err)
			return in.AccessToken
		}
		published := func(app *service.App) (ids []string) {
			for _, k := range app.JWKS(ctx).Keys {
				ids = append(ids, k.ID)
			}
			return ids
		}
		good := func(app *service.App, token string) {
			w.Helper()
			_, err := app.ProveUser(ctx, token)
			w.check(err)
		}
		_, err := w.RotateSigningKey(ctx, ann, false)
		w.code(err, domain.CodeForbidden)

		before := logIn()
		old := published(w.App)
		w.Pass(time.Second)
		id, err := w.RotateSigningKey(ctx, domain.System(), false)
		w.check(err)
		if got := published(w.App); len(got) != 2 || got[0] != id || got[1] != old[0] {
			w.Errorf("got published keys %v, want the new %s before the old %s", got, id, old[0])
		}
		early := logIn()
		good(other, early) // a node that has not heard of the new key: the old one signs yet
		w.Pass(time.Minute)
		after := logIn()
		for _, token := range []string{before, early, after} {
			good(w.App, token)
			good(other, token) // which reads the keys anew for the last one
		}
		w.Pass(3 * time.Minute)
		good(w.App, early)
		w.Pass(8 * time.Minute)
		if got := published(w.App); len(got) != 1 || got[0] != id {
			w.Errorf("got published keys %v, want only %s once no token of the old one lives", got, id)
		}

		token := logIn()
		good(w.App, token)
		_, err = w.RotateSigningKey(ctx, domain.System(), true)
		w.check(err)
		_, err = w.ProveUser(ctx, token)
		w.code(err, domain.CodeInvalidToken)
		good(w.App, logIn())
		if got, want := w.countEvents("signing_key.rotated"), 2; got != want {
			w.Errorf("got %d events, want %d", got, want)
		}
	})
}

// Guarantees that what cannot be an access token is refused as such, without a
// question to the database, also while that does not answer; only one that a
// newer key may have signed cannot be decided then.
func TestNoTokenDuringOutage(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		w.signUp("ann@example.com")
		store := storetest.New(w.T, w.DSN)
		asked := 0
		store.Observe(func(statement string) {
			if strings.Contains(statement, "signing_keys") {
				asked++
			}
		})
		node := w.Another(service.Options{Store: store})
		_, err := w.RotateSigningKey(ctx, domain.System(), true)
		w.check(err)
		in, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)
		w.Pass(10 * time.Second)
		store.SetDown(true)
		header, _, _ := strings.Cut(in.AccessToken, ".")
		elsewhere := w.Another(service.Options{Store: storetest.New(w, storetest.SQLite(w)), Issuer: "http://elsewhere"})
		foreign, err := elsewhere.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "ann@example.com", Password: password})
		w.check(err)
		asked = 0
		for token, want := range map[string]domain.Code{
			"": domain.CodeInvalidToken, "a.b.c": domain.CodeInvalidToken, "e30.e30.AAAA": domain.CodeInvalidToken,
			"eyJhbGciOiJub25lIn0.e30.": domain.CodeInvalidToken, header + ".!.AAAA": domain.CodeInvalidToken,
			foreign.AccessToken: domain.CodeInvalidToken, in.AccessToken: domain.CodeUnavailable,
		} {
			for range 3 {
				_, err := node.ProveUser(ctx, token)
				w.code(err, want)
			}
		}
		if asked != 1 {
			w.Errorf("asked %d times for the signing keys, want once for all", asked)
		}
		w.Pass(6 * time.Minute) // by now it has expired, no matter who signed it
		_, err = node.ProveUser(ctx, in.AccessToken)
		w.code(err, domain.CodeInvalidToken)
		store.SetDown(false)
		in, err = w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)
		_, err = node.ProveUser(ctx, in.AccessToken)
		w.check(err)
	})
}

// Guarantees that nodes on one database believe each other's access tokens though
// no public URL is set and each knows itself by another address.
func TestIssuerOfNodesWithoutPublicURL(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		serve := func(address string) *service.App {
			w.Helper()
			store := storetest.New(w.T, w.DSN)
			issuer, err := service.KeepIssuer(ctx, store, address)
			w.check(err)
			return w.Another(service.Options{Store: store, Issuer: issuer, PublicURL: address})
		}
		one, two := serve("http://one:8080"), serve("http://two:8080")
		in, err := one.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "ann@example.com", Password: password})
		w.check(err)
		_, err = two.ProveUser(ctx, in.AccessToken)
		w.check(err)
		again, err := two.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
		w.check(err)
		_, err = one.ProveUser(ctx, again.AccessToken)
		w.check(err)
	})
}
