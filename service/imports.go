package service

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

const (
	importBatch     = 1000        // rows to a transaction
	importsInterval = time.Second // how late at most a node learns of keys that another has imported
	importsPage     = 10_000      // look-ups read at a time

	// maxForeignToken is how long a token that was made elsewhere may be, in bytes.
	maxForeignToken = 512
)

// ImportKeys takes over keys that were made elsewhere, by the hashes of their
// tokens: their clients go on sending what they have. Good rows are taken even
// when others are not. Rows that are here already stay as they are, so that
// importing the same rows again changes nothing, and a key that has been revoked
// or deleted here does not come back. It needs keys:import, and for each row the
// scopes that it asks for.
func (p *Project) ImportKeys(ctx context.Context, rows []domain.ImportRow) (domain.ImportResult, error) {
	var result domain.ImportResult
	if err := p.Require(domain.KeysImport); err != nil {
		return result, err
	}
	for first := 0; first < len(rows); first += importBatch {
		batch := rows[first:min(first+importBatch, len(rows))]
		if err := p.importBatch(ctx, batch, first, &result); err != nil {
			return result, err
		}
	}
	return result, p.app.loadImports(ctx)
}

// importBatch imports some rows, of which the first has the given number.
func (p *Project) importBatch(ctx context.Context, rows []domain.ImportRow, first int, result *domain.ImportResult) error {
	var good []domain.ImportedKey
	var pointers []string
	for i, row := range rows {
		pointer := "/" + strconv.Itoa(first+i)
		key, err := p.imported(row)
		switch {
		case err == nil:
			good, pointers = append(good, key), append(pointers, pointer)
		case domain.CodeOf(err) == domain.CodeValidationFailed:
			for _, f := range domain.FieldErrors(err) {
				result.Errors = append(result.Errors, domain.FieldError{Pointer: pointer + f.Pointer, Detail: f.Detail})
			}
		default:
			return err
		}
	}
	if len(good) == 0 {
		return nil
	}
	var done domain.ImportResult
	err := p.app.store.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		done = domain.ImportResult{}
		number, err := tx.NextImportBatch(ctx)
		if err != nil {
			return err
		}
		fresh, err := p.freshImports(ctx, tx, good, pointers, &done)
		if err != nil || len(fresh) == 0 {
			return err
		}
		if err := tx.AddImported(ctx, p.project.Scope(), number, fresh); err != nil {
			return err
		}
		done.Imported = len(fresh)
		return p.app.record(ctx, tx, p.caller, domain.Event{
			Action: "keys.imported", Target: domain.Target{Kind: "project", ID: string(p.project.ID), Name: p.project.Name},
			OrganizationID: p.project.OrganizationID, ProjectID: p.project.ID,
			Changes: domain.Changes{"imported": {nil, len(fresh)}, "first": {nil, fresh[0].Key.ID}, "last": {nil, fresh[len(fresh)-1].Key.ID}},
		})
	})
	if err != nil {
		return err
	}
	result.Imported += done.Imported
	result.Unchanged += done.Unchanged
	result.Errors = append(result.Errors, done.Errors...)
	return nil
}

// imported returns the key that a row asks for, or validation_failed.
func (p *Project) imported(row domain.ImportRow) (domain.ImportedKey, error) {
	if err := row.Validate(); err != nil {
		return domain.ImportedKey{}, err
	}
	if err := p.requireScopes(row.Scopes); err != nil {
		refused := domain.Invalid{{Pointer: "/scopes", Detail: "holds a scope that you do not hold yourself, so you cannot give it to a key"}}
		return domain.ImportedKey{}, refused.Err()
	}
	if row.Environment == "" {
		row.Environment = domain.Live
	}
	now := p.app.now()
	created := row.CreatedAt.UTC().Truncate(time.Microsecond)
	if created.IsZero() {
		created = now
	}
	key := domain.Key{
		ID: domain.NewID[domain.KeyID](now), ProjectID: p.project.ID, Name: row.Name, Prefix: row.Prefix, Environment: row.Environment,
		Scopes: domain.DistinctScopes(row.Scopes), ExternalID: row.ExternalID, Metadata: row.Metadata, CreatedAt: created, CreatedBy: p.caller.Actor(),
		ExpiresAt: row.ExpiresAt.UTC().Truncate(time.Microsecond), Revision: 1,
	}
	if row.Revoked {
		key.RevokedAt, key.RevokedReason = now, "It was revoked before it was imported."
	}
	h, _ := row.ParseHash() // it has been validated
	return domain.ImportedKey{Key: key, Secret: domain.Secret{
		TokenID: domain.NewTokenID(), ProjectID: key.ProjectID, KeyID: key.ID, Prefix: row.Prefix, Algorithm: h.Algorithm,
		PepperVersion: pepperVersion, Digest: p.app.keyring.importedDigest(key.ID, key.ProjectID, h), CreatedAt: now,
		Parameters: h.Parameters, Lookup: p.app.keyring.lookup(row.Prefix, h), ImportDigest: p.app.keyring.importDigest(key.ProjectID, h),
	}}, nil
}

// freshImports returns those of the keys that are not here already, and counts
// or complains of the others.
func (p *Project) freshImports(
	ctx context.Context, tx *repository.Store, keys []domain.ImportedKey, pointers []string, result *domain.ImportResult,
) ([]domain.ImportedKey, error) {
	secrets := make([]domain.Secret, len(keys))
	for i, k := range keys {
		secrets[i] = k.Secret
	}
	known, err := tx.KnownImports(ctx, p.project.Scope(), secrets)
	if err != nil {
		return nil, err
	}
	var fresh []domain.ImportedKey
	for i, k := range keys {
		complain := func(field, detail string) {
			result.Errors = append(result.Errors, domain.FieldError{Pointer: pointers[i] + field, Detail: detail})
		}
		here, isHere := known.Here[k.Secret.Lookup]
		switch {
		case isHere && hmac.Equal(here, k.Secret.ImportDigest):
			result.Unchanged++
		case isHere:
			complain("/prefix", "is that of another imported key of this project; import this one into a project of its own")
		case known.Ended[string(k.Secret.ImportDigest)]:
			complain("/hash", "is of a key that has been deleted from this project, which importing does not bring back")
		case known.Crowded[k.Secret.Lookup]:
			complain("/prefix", "is shared by too many imported keys; give this client a new key instead")
		default:
			known.Here[k.Secret.Lookup] = k.Secret.ImportDigest
			fresh = append(fresh, k)
		}
	}
	return fresh, nil
}

// lookup is what an imported token is found by.
func (k *keyring) lookup(prefix string, h domain.ForeignHash) string {
	if h.Algorithm == domain.DjangoSHA512 || h.Algorithm == domain.DjangoPBKDF2SHA256 {
		return djangoLookup(prefix)
	}
	return k.digestLookup(h.Digest)
}

func djangoLookup(prefix string) string { return "django:" + prefix }

func (k *keyring) digestLookup(digest []byte) string {
	mac := k.imports.mac("lookup", hex.EncodeToString(digest))
	return "sha256:" + hex.EncodeToString(mac[:])
}

// lookups are what a token may be found by if it has been imported.
func (k *keyring) lookups(text string) []string {
	digest := sha256.Sum256([]byte(text))
	found := []string{k.digestLookup(digest[:])}
	if prefix, _, ok := strings.Cut(text, "."); ok {
		found = append(found, djangoLookup(prefix))
	}
	return found
}

// imports is this node's memory of what imported tokens are found by. It keeps
// the ids of their secrets under a hash of each look-up, so that a token that
// was never imported costs no query, and one that was is found like any other.
type imports struct {
	*importIndex

	hashing turns // PBKDF2 costs a flood of known prefixes what it costs one after the other
}

type importIndex struct {
	seed maphash.Seed

	loading sync.Mutex
	last    repository.Import // under loading

	mu    sync.RWMutex
	first map[uint64][12]byte         // most look-ups lead to one secret
	more  map[uint64][]domain.TokenID // and some to others behind it
}

func newImports() imports {
	return imports{
		&importIndex{seed: maphash.MakeSeed(), first: map[uint64][12]byte{}, more: map[uint64][]domain.TokenID{}},
		// Half of the cores go on answering others.
		make(turns, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// loadImports learns of what has been imported since the last time.
func (a *App) loadImports(ctx context.Context) error {
	x := a.imports.importIndex
	x.loading.Lock()
	defer x.loading.Unlock()
	for {
		found, err := a.store.ImportedSince(ctx, x.last, importsPage)
		if err != nil {
			return err
		}
		x.add(found)
		if len(found) < importsPage {
			return nil
		}
	}
}

func (x *importIndex) add(found []repository.Import) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, i := range found {
		h := maphash.String(x.seed, i.Lookup)
		if _, taken := x.first[h]; taken {
			x.more[h] = append(x.more[h], i.TokenID)
		} else {
			x.first[h] = [12]byte([]byte(i.TokenID))
		}
		x.last = i
	}
}

// candidates returns the secrets that a token may belong to, those imported
// first in front.
func (a *App) candidates(text string) (ids []domain.TokenID) {
	x := a.imports.importIndex
	x.mu.RLock()
	defer x.mu.RUnlock()
	if len(x.first) == 0 || len(text) > maxForeignToken {
		return nil
	}
	for _, lookup := range a.keyring.lookups(text) {
		h := maphash.String(x.seed, lookup)
		if id, ok := x.first[h]; ok {
			ids = append(append(ids, domain.TokenID(id[:])), x.more[h]...)
		}
	}
	return ids
}

// forget drops a secret that is no longer there.
func (x *importIndex) forget(text string, k *keyring, gone domain.TokenID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, lookup := range k.lookups(text) {
		h := maphash.String(x.seed, lookup)
		more := slices.DeleteFunc(x.more[h], func(id domain.TokenID) bool { return id == gone })
		if first := x.first[h]; domain.TokenID(first[:]) == gone {
			if len(more) == 0 {
				delete(x.first, h)
			} else {
				x.first[h], more = [12]byte([]byte(more[0])), more[1:]
			}
		}
		if x.more[h] = more; len(more) == 0 {
			delete(x.more, h)
		}
	}
}

// proveImported is prove for a token that was made elsewhere. Where nobody in
// particular asks, a key that may be used goes before one that may not: whoever
// imports a hash and revokes the key must not shut out the clients of others.
func (a *App) proveImported(ctx context.Context, text string, asks domain.ProjectID, now time.Time) (domain.ProvenKey, error) {
	var others []domain.ProvenKey
	var unusable domain.ProvenKey
	for _, id := range a.candidates(text) {
		key, err := a.keyOf(ctx, id, now)
		if domain.CodeOf(err) == domain.CodeNotFound {
			a.imports.forget(text, a.keyring, id)
			continue
		}
		if err != nil {
			return domain.ProvenKey{}, err
		}
		if asks != "" && key.Tenant().Project.ID != asks {
			others = append(others, key)
			continue
		}
		if key, err = a.recognise(ctx, key, text); err != nil || !key.IsZero() && (asks != "" || key.Unusable(now) == "") {
			return key, err
		}
		if unusable.IsZero() {
			unusable = key
		}
	}
	for _, key := range others {
		if key, err := a.recognise(ctx, key, text); err != nil || !key.IsZero() {
			return key, err
		}
	}
	if unusable.IsZero() {
		return domain.ProvenKey{}, invalidKey()
	}
	return unusable, nil
}

// recognise returns the key if its imported secret is that of the token, else
// the zero one. What is kept in memory will do for digests of ours; a hash that
// awaits its first use is read again, since only the database has its
// parameters and knows whether it still stands.
func (a *App) recognise(ctx context.Context, key domain.ProvenKey, text string) (domain.ProvenKey, error) {
	if want, algorithm, _ := key.Digest(); algorithm == domain.HMACSHA256 {
		if !equal(want, a.keyring.tokenDigest(key.ID(), key.Tenant().Project.ID, text)) {
			return domain.ProvenKey{}, nil
		}
		return key, nil
	}
	secret, calling, err := a.store.CallingKey(ctx, key.TokenID())
	if domain.CodeOf(err) == domain.CodeNotFound {
		return domain.ProvenKey{}, nil
	}
	if err != nil {
		return domain.ProvenKey{}, err
	}
	if match, err := a.recognises(ctx, secret, text); err != nil || !match {
		return domain.ProvenKey{}, err
	}
	return provenKey(secret, calling), nil
}

// recognises reports whether an imported secret is that of the token.
func (a *App) recognises(ctx context.Context, s domain.Secret, text string) (bool, error) {
	h := domain.ForeignHash{Algorithm: s.Algorithm, Parameters: s.Parameters}
	switch s.Algorithm {
	case domain.HMACSHA256: // a rival was first to use it
		digest := a.keyring.tokenDigest(s.KeyID, s.ProjectID, text)
		return hmac.Equal(s.Digest, digest[:]), nil
	case domain.DjangoSHA512:
		digest := sha512.Sum512([]byte(text))
		h.Digest = digest[:]
	case domain.SHA256Hex, domain.SHA256Base64URL:
		digest := sha256.Sum256([]byte(text))
		h.Digest = digest[:]
	case domain.DjangoPBKDF2SHA256:
		iterations, salt, _ := strings.Cut(s.Parameters, "$")
		n, err := strconv.Atoi(iterations)
		if err != nil {
			return false, fmt.Errorf("the parameters of secret %s: %w", s.TokenID, err)
		}
		err = a.imports.hashing.take(ctx, func() (err error) {
			h.Digest, err = pbkdf2.Key(sha256.New, text, []byte(salt), n, sha256.Size)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return hmac.Equal(s.Digest, a.keyring.importedDigest(s.KeyID, s.ProjectID, h)), nil
}

// rehash replaces the wrapped hash of an imported secret by a digest of ours,
// now that its token is known to be good. When that fails, the next use tries
// again; when a rival has done it, there is nothing left to do.
func (a *App) rehash(ctx context.Context, key domain.ProvenKey, text string) {
	old, scope := key.Secret(), key.Tenant().Project.Scope()
	ours := old
	ours.Algorithm, ours.PepperVersion = domain.HMACSHA256, pepperVersion
	digest := a.keyring.tokenDigest(old.KeyID, old.ProjectID, text)
	ours.Digest = digest[:]
	if err := a.store.RehashSecret(ctx, scope, old, ours); err != nil && domain.CodeOf(err) != domain.CodeConflict {
		a.log.WarnContext(ctx, "an imported key keeps its old hash until it is used again", "key", old.KeyID, "error", err)
	}
}
