package service_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// Guarantees that tenants whose keys share a public prefix, or who even know the
// same token, do not get into each other's way.
func TestImportSharedPrefix(t *testing.T) {
	onEach(t, func(w *world) {
		_, a := w.tenant(w.signUp("ann@example.com"))
		_, b := w.tenant(w.signUp("bob@example.com"))
		w.importRows(a, made(w.T, domain.DjangoSHA512, "shared.of-ann"), made(w.T, domain.SHA256Hex, "known to both"))
		w.importRows(b, made(w.T, domain.DjangoPBKDF2SHA256, "shared.of-bob"), made(w.T, domain.SHA256Base64URL, "known to both"))
		for token, p := range map[string]*service.Project{"shared.of-ann": a, "shared.of-bob": b} {
			calling, err := w.ProveKey(w.Context(), token, nil)
			w.check(err)
			want, err := p.Get()
			w.check(err)
			if calling.Tenant().Project.ID != want.ID {
				w.Errorf("%s: got the key of another project", token)
			}
		}
		for _, p := range []*service.Project{a, b} {
			if v, err := p.VerifyKey(w.Context(), service.Question{Token: "known to both"}); err != nil || !v.Valid() {
				w.Errorf("got %+v, %v, want each project to know its own", v, err)
			}
			other := map[*service.Project]string{a: "shared.of-bob", b: "shared.of-ann"}[p]
			v, err := p.VerifyKey(w.Context(), service.Question{Token: other})
			if want := (service.Verification{Code: service.VerifiedNotFound, Keep: v.Keep}); err != nil || !reflect.DeepEqual(v, want) {
				w.Errorf("got %v, %v, want %v", v, err, want)
			}
		}

		// One prefix in ever more projects of an organization costs a bounded number
		// of hashes, and the organization does not learn what others have imported.
		org, _ := w.tenant(w.signUp("eve@example.com"))
		var refused int
		for i := range repository.MaxCandidates + 2 {
			p, err := org.CreateProject(w.Context(), domain.ProjectSpec{Name: "P"})
			w.check(err)
			result := w.importRows(w.project(org.Caller(), p.ID), made(w.T, domain.DjangoSHA512, fmt.Sprintf("shared.of-eve-%d", i)))
			refused += len(result.Errors)
		}
		if refused != 2 {
			w.Errorf("got %d refused, want those above %d", refused, repository.MaxCandidates)
		}
		w.answers(map[string]domain.Code{"shared.of-ann": "", "shared.of-bob": ""})
	})
}

// Guarantees that a row of an imported key proves nothing when someone who can
// write to the database, but lacks the master key, moves it to another project.
func TestPlantedImport(t *testing.T) {
	onEach(t, func(w *world) {
		_, a := w.tenant(w.signUp("ann@example.com"))
		_, b := w.tenant(w.signUp("eve@example.com"))
		w.importRows(b, made(w.T, domain.DjangoSHA512, foreignToken))
		own, secret := w.stored(b)
		victim, _, _ := w.key(a)
		project, err := a.Get()
		w.check(err)
		w.check(b.DeleteKey(w.Context(), own.ID))
		secret.KeyID, secret.ProjectID, secret.ValidUntil = victim.ID, project.ID, w.Now().Add(time.Hour)
		w.check(w.Store.AddSecret(w.Context(), project.Scope(), secret))
		w.answers(map[string]domain.Code{foreignToken: domain.CodeInvalidAPIKey})
	})
}

// Guarantees that a revocation which comes while a verification is under way is
// not lost: neither the new hash nor the recorded use brings the key back.
func TestNoLostRevocation(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		w.importRows(project, made(w.T, domain.DjangoSHA512, foreignToken))
		key, _ := w.stored(project)

		node := w.node()
		proven, err := node.Prove(w.Context(), foreignToken, w.Now())
		w.check(err)
		if code := proven.Unusable(w.Now()); code != "" {
			w.Fatalf("got %s, want it found good", code)
		}
		_, err = project.RevokeKey(w.Context(), key.ID, "stolen")
		w.check(err)
		node.Used(w.Context(), proven, foreignToken, w.Now())
		w.check(node.RecordUses(w.Context()))

		after, secret := w.stored(project)
		if after.RevokedReason != "stolen" || after.LastUsedAt.IsZero() || secret.Algorithm != domain.HMACSHA256 {
			w.Errorf("got %+v, %+v: want it revoked, used and with a new digest", after, secret)
		}
		w.answers(map[string]domain.Code{foreignToken: domain.CodeKeyRevoked})

		// And another node's new hash is not overwritten by the old one's reader.
		stale := secret
		stale.Algorithm, stale.Digest = domain.DjangoSHA512, []byte("what it was")
		p, err := project.Get()
		w.check(err)
		w.code(w.Store.RehashSecret(w.Context(), p.Scope(), stale, stale), domain.CodeConflict)
	})
}

// Guarantees that whatever is neither a well-formed token nor known to have been
// imported costs no query, however many keys have been imported.
func TestUnknownTokensCostNoQuery(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		w.importRows(project, made(w.T, domain.DjangoSHA512, foreignToken), made(w.T, domain.SHA256Hex, "opaque"))
		noQuery, cancel := context.WithCancel(w.Context()) // what asks the database now fails
		cancel()
		_, token, _ := w.key(project)
		for _, bad := range []string{
			"", "abcd", "foo.bar", "dOwgmSHd.8l3xMZ2XoFzfRCzwPIeGCBzS5ZWqvW3N", ".", "opaqu", token[:len(token)-1], token + "x",
			strings.ToUpper(token), "\x00", "ünïcode", strings.Repeat("a", 20_000), foreignToken + strings.Repeat("x", 20_000),
		} {
			if _, err := w.ProveKey(noQuery, bad, nil); domain.CodeOf(err) != domain.CodeInvalidAPIKey {
				w.Errorf("%.20q: got %v, want it refused without a query", bad, err)
			}
		}
		for _, known := range []string{foreignToken, "opaque", token} {
			if _, err := w.ProveKey(noQuery, known, nil); domain.CodeOf(err) == domain.CodeInvalidAPIKey {
				w.Errorf("%.20q was refused without looking", known)
			}
		}
	})
}

// Guarantees that a key imported on one node is known on the others within
// seconds, and to those that start later; and that its end is.
func TestImportReachesOtherNodes(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		other := w.node()
		go other.Run(w.Context())
		w.importRows(project, made(w.T, domain.SHA256Hex, "opaque"))
		_, err := w.node().ProveKey(w.Context(), "opaque", nil)
		w.check(err)
		becomes := func(want domain.Code) {
			w.Helper()
			servicetest.Eventually(w, "the other node answers "+string(want), func() bool {
				_, err := other.ProveKey(w.Context(), "opaque", nil)
				return domain.CodeOf(err) == want
			})
		}
		becomes("")
		key, secret := w.stored(project)
		if secret.Algorithm != domain.HMACSHA256 {
			w.Errorf("got %s after the first use, want one of Latchkey's digests", secret.Algorithm)
		}
		for range 3 { // now from memory
			w.answers(map[string]domain.Code{"opaque": ""})
			becomes("")
		}
		_, err = project.RevokeKey(w.Context(), key.ID, "")
		w.check(err)
		becomes(domain.CodeKeyRevoked)
	})
}

// An imported key is a key like others: it can be rotated, and its token is then
// one that ends.
func TestRotateImportedKey(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		w.importRows(project, made(w.T, domain.DjangoSHA512, foreignToken))
		key, _ := w.stored(project)
		rotated, token := w.rotate(project, key.ID, domain.Rotation{Grace: new(time.Hour)})
		if got, want := rotated.Retiring.Prefix, "dOwgmSHc"; got != want {
			w.Errorf("got %q retiring, want %q", got, want)
		}
		w.answers(map[string]domain.Code{foreignToken: "", token: ""})
		w.Pass(time.Hour)
		w.answers(map[string]domain.Code{foreignToken: domain.CodeKeyExpired, token: ""})
	})
}

// Guarantees that a tenant who imports the hash of another tenant's token first,
// and then revokes it, does not shut out that token's rightful clients.
func TestImportedElsewhereAndRevoked(t *testing.T) {
	onEach(t, func(w *world) {
		_, squatter := w.tenant(w.signUp("eve@example.com"))
		_, rightful := w.tenant(w.signUp("ann@example.com"))
		for _, p := range []*service.Project{squatter, rightful} {
			w.importRows(p, made(w.T, domain.DjangoSHA512, foreignToken))
		}
		squatted, _ := w.stored(squatter)
		_, err := squatter.RevokeKey(w.Context(), squatted.ID, "")
		w.check(err)
		calling, err := w.ProveKey(w.Context(), foreignToken, nil)
		w.check(err)
		if want, _ := w.stored(rightful); calling.Key().ID != want.ID {
			w.Errorf("got %s, want %s", calling.Key().ID, want.ID)
		}
		v, err := squatter.VerifyKey(w.Context(), service.Question{Token: foreignToken})
		if err != nil || v.Code != service.VerifiedRevoked {
			w.Errorf("got %v, %v where the key has been revoked, want revoked", v.Code, err)
		}

		right, _ := w.stored(rightful)
		_, err = rightful.RevokeKey(w.Context(), right.ID, "")
		w.check(err)
		w.answers(map[string]domain.Code{foreignToken: domain.CodeKeyRevoked})
	})
}
