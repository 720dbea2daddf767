package service

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// pepperVersion marks digests with the derivation they were made with, so that
// a later one can be used beside it.
const pepperVersion = 1

// checkSetting holds a value that only the right master key computes.
const checkSetting = "master_key_check"

// ParseMasterKey reads a master key: 32 bytes in base64, standard or URL-safe;
// spaces around it are ignored. It refuses a key that was not drawn at random.
func ParseMasterKey(text string) (key [32]byte, err error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	raw, err := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(text))
	if err != nil || len(raw) != len(key) {
		return key, errors.New("a master key is 32 random bytes in base64; make one with: openssl rand -base64 32")
	}
	key = [32]byte(raw)
	if bytes.Count(raw, raw[:1]) == len(raw) {
		return key, errors.New("the master key is the same byte 32 times; make a random one with: openssl rand -base64 32")
	}
	return key, nil
}

// NewMasterKey draws a master key and returns it as ParseMasterKey reads it.
func NewMasterKey() string {
	var raw [32]byte
	rand.Read(raw[:]) // never fails
	return base64.StdEncoding.EncodeToString(raw[:])
}

// HasMasterKey reports whether the database has been used with a master key, so
// that making a new one would lock its owners out.
func HasMasterKey(ctx context.Context, store *repository.Store) (bool, error) {
	_, err := store.GetSetting(ctx, checkSetting)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return false, nil
	}
	return err == nil, err
}

// keyring holds one key for each purpose, all derived from the master key.
type keyring struct {
	tokens    macKey // digests of API keys' tokens
	tags      macKey // their tags
	services  macKey // digests of service tokens
	badges    macKey // their tags
	refresh   macKey // digests, tags and successors of refresh tokens
	cookie    macKey // proofs in the console's cookies
	imports   macKey // what imported hashes are wrapped, found and compared by
	retry     macKey // digests of Idempotency-Keys
	passwords macKey // password hashes, bound to their users
	mailed    macKey // digests of tokens that are mailed or handed over to people
	receipts  macKey // what verifications have taken from limits
	outbox    macKey // tokens of emails, and what emails are counted by
	issuers   []byte // the keys by which projects sign access tokens of their keys
	check     macKey // the check value
	derive    []byte // secrets that an Idempotency-Key can bring again
	sealer    cipher.AEAD
}

func newKeyring(master [32]byte) (*keyring, error) {
	var errs []error
	derive := func(purpose string) []byte {
		key, err := hkdf.Key(sha256.New, master[:], nil, "latchkey/v1/"+purpose, sha256.Size)
		errs = append(errs, err)
		return key
	}
	k := &keyring{
		tokens:    newMACKey(derive("token-digest")),
		tags:      newMACKey(derive("token-tag")),
		services:  newMACKey(derive("service-token")),
		badges:    newMACKey(derive("service-token-tag")),
		refresh:   newMACKey(derive("refresh-token")),
		cookie:    newMACKey(derive("console-cookie")),
		imports:   newMACKey(derive("imported-hash")),
		retry:     newMACKey(derive("idempotency-key")),
		passwords: newMACKey(derive("password-hash")),
		mailed:    newMACKey(derive("mailed-token")),
		receipts:  newMACKey(derive("receipt")),
		outbox:    newMACKey(derive("outbox")),
		issuers:   derive("project-token-key"),
		check:     newMACKey(derive("check-value")),
		derive:    derive("derived-secret"),
	}
	block, err := aes.NewCipher(derive("seal"))
	if err != nil {
		return nil, err
	}
	k.sealer, err = cipher.NewGCMWithRandomNonce(block)
	return k, errors.Join(append(errs, err)...)
}

// macKey is a key of HMAC-SHA-256, as RFC 2104 puts it before what it sums:
// inner is the key xor 0x36 repeated, outer the key xor 0x5c repeated.
type macKey struct{ inner, outer [sha256.BlockSize]byte }

// newMACKey makes a macKey of a key that is no longer than a block.
func newMACKey(key []byte) (k macKey) {
	copy(k.inner[:], key)
	k.outer = k.inner
	for i := range sha256.BlockSize {
		k.inner[i] ^= 0x36
		k.outer[i] ^= 0x5c
	}
	return k
}

// mac is HMAC-SHA-256 over the parts, each of which is free of NUL. It is made
// for every request, so it is two sums over what lies flat on the stack: faster
// than crypto/hmac by half, and without allocation.
func (k *macKey) mac(parts ...string) [sha256.Size]byte {
	var room [sha256.BlockSize + 256]byte
	inner := append(room[:0], k.inner[:]...)
	for i, part := range parts {
		if i > 0 {
			inner = append(inner, 0)
		}
		inner = append(inner, part...)
	}
	sum := sha256.Sum256(inner)

	var outer [sha256.BlockSize + sha256.Size]byte
	return sha256.Sum256(append(append(outer[:0], k.outer[:]...), sum[:]...))
}

// sum is mac as a slice.
func (k *macKey) sum(parts ...string) []byte {
	digest := k.mac(parts...)
	return digest[:]
}

// tokenDigest binds a token to its key and project: a row that is copied to
// another key, or written without the master key, proves nothing.
func (k *keyring) tokenDigest(key domain.KeyID, project domain.ProjectID, token string) [sha256.Size]byte {
	return k.tokens.mac(string(key), string(project), token)
}

// tag is a domain.Tagger.
func (k *keyring) tag(start string) [sha256.Size]byte { return k.tags.mac(start) }

// serviceDigest binds a service token to its session.
func (k *keyring) serviceDigest(id domain.SessionID, token domain.Token) []byte {
	return k.services.sum(string(id), token.Reveal())
}

// serviceTag is a domain.Tagger of service tokens.
func (k *keyring) serviceTag(start string) [sha256.Size]byte { return k.badges.mac(start) }

// importedDigest wraps a hash that was made elsewhere, so that its row is bound
// to key and project and proves nothing without the master key, like ours.
func (k *keyring) importedDigest(key domain.KeyID, project domain.ProjectID, h domain.ForeignHash) []byte {
	return k.imports.sum("digest", string(key), string(project), string(h.Algorithm), h.Parameters, hex.EncodeToString(h.Digest))
}

// importDigest identifies a hash that has been imported into a project.
func (k *keyring) importDigest(project domain.ProjectID, h domain.ForeignHash) []byte {
	return k.imports.sum("import", string(project), string(h.Algorithm), h.Parameters, hex.EncodeToString(h.Digest))
}

// locator returns the text by which an imported token is found.
func (k *keyring) locator(prefix string, h domain.ForeignHash) string {
	if h.Algorithm.Django() {
		return djangoLocator(prefix)
	}
	return k.digestLocator(h.Digest)
}

// prefixOf returns what a token of Django's shows before its dot.
func prefixOf(text string) string {
	prefix, _, _ := strings.Cut(text, ".")
	return prefix
}

func djangoLocator(prefix string) string { return "django:" + prefix }

func (k *keyring) digestLocator(digest []byte) string {
	mac := k.imports.mac("lookup", hex.EncodeToString(digest))
	return "sha256:" + hex.EncodeToString(mac[:])
}

// locators returns the texts by which a token may be found if it was imported.
func (k *keyring) locators(text string) []string {
	digest := sha256.Sum256([]byte(text))
	found := []string{k.digestLocator(digest[:])}
	if strings.Contains(text, ".") {
		found = append(found, djangoLocator(prefixOf(text)))
	}
	return found
}

// derivedSecret is how many bytes a derived stream has: secrets are drawn from
// it as from a random source, and none needs a tenth of that.
const derivedSecret = 2048

// secrets is a source of random bytes that only this master key, this salt and
// this Idempotency-Key of this caller give: HKDF-SHA-256 (RFC 5869).
func (k *keyring) secrets(salt []byte, caller, idempotencyKey string) (io.Reader, error) {
	stream, err := hkdf.Key(sha256.New, k.derive, salt, caller+"\x00"+idempotencyKey, derivedSecret)
	return bytes.NewReader(stream), err
}

// seal encrypts plain, bound to its purpose.
func (k *keyring) seal(plain []byte, purpose string) []byte {
	return k.sealer.Seal(nil, nil, plain, []byte(purpose))
}

func (k *keyring) unseal(sealed []byte, purpose string) ([]byte, error) {
	return k.sealer.Open(nil, nil, sealed, []byte(purpose))
}

// checkMasterKey compares the master key with the one the database knows, and
// makes it known to a database that has seen none.
func (a *App) checkMasterKey(ctx context.Context) error {
	value := a.keyring.check.sum("latchkey")
	err := a.store.AddSetting(ctx, checkSetting, value)
	if err == nil {
		return nil
	}
	if domain.CodeOf(err) != domain.CodeConflict {
		return fmt.Errorf("check the master key: %w", err)
	}
	known, err := a.store.GetSetting(ctx, checkSetting)
	if err != nil {
		return fmt.Errorf("check the master key: %w", err)
	}
	if !hmac.Equal(known, value) {
		return errors.New("the master key is not the one this database was first used with: with another one, no API key and no session " +
			"would be valid. Bring back the original LATCHKEY_MASTER_KEY or key file")
	}
	return nil
}

// Minter returns what makes tokens under a master key, with the digest that is
// stored of each. It is for measuring, where keys are made by the million beside
// the service.
func Minter(master [32]byte) (func(domain.KeyID, domain.ProjectID) (domain.Token, []byte, error), error) {
	k, err := newKeyring(master)
	return func(key domain.KeyID, project domain.ProjectID) (domain.Token, []byte, error) {
		t, err := domain.NewTaggedToken(domain.DefaultKeyPrefix, domain.Live, rand.Reader, k.tag)
		if err != nil {
			return t, nil, err
		}
		digest := k.tokenDigest(key, project, t.Reveal())
		return t, digest[:], nil
	}, err
}
