package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func importedKey(p domain.Project, name, locator string) domain.ImportedKey {
	k := newKey(p, name, epoch)
	secret := newSecret(k, domain.TokenID("token "+name))
	secret.Algorithm, secret.Parameters, secret.Locator, secret.ImportDigest = domain.DjangoSHA512, "", locator, []byte("digest of "+name)
	return domain.ImportedKey{Key: k, Secret: secret}
}

// addImported imports keys as a batch, and returns its number.
func addImported(t *testing.T, s *repository.Store, p domain.Project, imported ...domain.ImportedKey) (batch int64) {
	t.Helper()
	check(t, s.InTx(t.Context(), func(ctx context.Context, tx *repository.Store) (err error) {
		if batch, err = tx.NextImportBatch(ctx); err != nil {
			return err
		}
		return tx.AddImported(ctx, p.Scope(), batch, imported)
	}))
	return batch
}

// testImports guarantees that a project knows which secrets it has imported, and
// of its organization only how many share a locator; and that those who follow the
// imports miss none.
func testImports(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	org, a := newTenant(t, s, "a")
	_, other := newTenant(t, s, "b")
	beside := newProject(t, s, org, "beside")
	add := func(p domain.Project, imported ...domain.ImportedKey) int64 { return addImported(t, s, p, imported...) }
	one, two := importedKey(a, "one", "shared"), importedKey(a, "two", "alone")
	first := add(a, one, two)
	second := add(other, importedKey(other, "theirs", "shared"))
	equal(t, second, first+1, nil)
	equal(t, add(a), second+1, nil) // of nothing

	wanted := []domain.Secret{
		one.Secret, {Locator: "shared", ImportDigest: []byte("new")}, {Locator: "unknown", ImportDigest: []byte("digest of theirs")},
	}
	known := func(p domain.Project) repository.KnownImports {
		t.Helper()
		k, err := s.KnownImports(ctx, p.Scope(), wanted)
		check(t, err)
		return k
	}
	equal(t, known(a), repository.KnownImports{
		Here: map[string][]byte{"shared": []byte("digest of one")}, Ended: map[string]bool{}, Crowded: map[string]bool{},
	}, nil)
	equal(t, known(beside), repository.KnownImports{Here: map[string][]byte{}, Ended: map[string]bool{}, Crowded: map[string]bool{}}, nil)

	// A locator is crowded when the organization has so many; others do not count.
	for i := range repository.MaxCandidates - 1 {
		equal(t, known(a).Crowded, map[string]bool{}, nil)
		p := newProject(t, s, org, fmt.Sprint("project-", i))
		add(p, importedKey(p, fmt.Sprint("key ", i), "shared"))
	}
	equal(t, known(a).Crowded, map[string]bool{"shared": true}, nil)
	equal(t, known(other).Crowded, map[string]bool{}, nil)

	// A key that was deleted does not come back with the next import.
	check(t, s.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		return tx.DeleteKey(ctx, a.Scope(), one.Key.ID)
	}))
	equal(t, known(a).Ended, map[string]bool{"digest of one": true}, nil)
	equal(t, known(beside).Ended, map[string]bool{}, nil)

	var all []repository.Import
	for last := (repository.Import{}); ; {
		page, err := s.ImportedSince(ctx, last, 2)
		check(t, err)
		if len(page) == 0 {
			break
		}
		all, last = append(all, page...), page[len(page)-1]
	}
	equal(t, len(all), 1+repository.MaxCandidates, nil)
	equal(t, all[:2], []repository.Import{
		{Locator: "alone", TokenID: "token two", Batch: first}, {Locator: "shared", TokenID: "token theirs", Batch: second},
	}, nil)
}

// testUntaggedTokens guarantees that the index of tokens without a tag gets each
// of them, page by page, and no imported one.
func testUntaggedTokens(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	for _, id := range []domain.TokenID{"c", "a", "tagged", "b"} {
		k := newKey(p, string(id), epoch)
		check(t, s.CreateKey(ctx, p.Scope(), k))
		secret := newSecret(k, id)
		secret.Tagged = id == "tagged"
		check(t, s.AddSecret(ctx, p.Scope(), secret))
	}
	addImported(t, s, p, importedKey(p, "imported", "locator"))
	page, err := s.UntaggedTokens(ctx, "", 2)
	equal(t, page, []domain.TokenID{"a", "b"}, err)
	page, err = s.UntaggedTokens(ctx, "b", 2)
	equal(t, page, []domain.TokenID{"c"}, err)
}

// testIdempotency guarantees that a request is done once under its
// Idempotency-Key, by each caller, for as long as it is remembered.
func testIdempotency(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	claim := func(v repository.Idempotency, notBefore time.Time, want repository.Idempotency, isFirst bool) {
		t.Helper()
		got, first, err := s.ClaimIdempotency(ctx, v, notBefore)
		equal(t, got, want, err)
		equal(t, first, isFirst, nil)
	}
	one := repository.Idempotency{
		Caller: "usr_1", Digest: []byte{1}, Fingerprint: []byte{2}, Salt: []byte{3}, PepperVersion: 4, CreatedAt: epoch,
	}
	claim(one, epoch.Add(-time.Hour), one, true)
	answered := one
	answered.Answer = []byte("{}")
	check(t, s.AnswerIdempotency(ctx, answered))
	again := one
	again.Salt, again.PepperVersion, again.CreatedAt = []byte{5}, 6, epoch.Add(time.Minute)
	claim(again, epoch, answered, false)
	another := again
	another.Caller = "usr_2"
	claim(another, epoch, another, true)
	code(t, s.AnswerIdempotency(ctx, repository.Idempotency{Caller: "usr_3", Digest: []byte{1}}), domain.CodeNotFound)

	// What is too old is done again, and what is forgotten, too.
	claim(again, epoch.Add(time.Microsecond), again, true)
	check(t, s.ForgetIdempotency(ctx, again.CreatedAt))
	unanswered := again
	unanswered.Answer = []byte{}
	claim(one, time.Time{}, unanswered, false)
	check(t, s.ForgetIdempotency(ctx, again.CreatedAt.Add(time.Microsecond)))
	claim(one, time.Time{}, one, true)
}
