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

// pepperVersion marks digests with the derivation they were made under, so that
// a later one can stand beside it.
const pepperVersion = 1

// checkSetting holds a value that only the right master key computes.
const checkSetting = "master_key_check"

// ParseMasterKey reads a master key: 32 bytes in base64, standard or URL-safe,
// with blanks around it ignored. It refuses a key that nobody drew at random.
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
	tokens       []byte                 // digests of API keys' tokens
	inner, outer [sha256.BlockSize]byte // tokens, as tokenDigest needs it
	refresh      []byte                 // digests, tags and successors of refresh tokens
	cookie       []byte                 // proofs in the console's cookies
	imports      []byte                 // what imported hashes are wrapped, found and recognised by
	retry        []byte                 // digests of Idempotency-Keys
	derive       []byte                 // secrets that an Idempotency-Key can bring again
	mailed       []byte                 // digests of tokens that are mailed or handed over to people
	check        []byte                 // the check value
	sealer       cipher.AEAD
}

func newKeyring(master [32]byte) (keyring, error) {
	var errs []error
	derive := func(purpose string) []byte {
		key, err := hkdf.Key(sha256.New, master[:], nil, "latchkey/v1/"+purpose, sha256.Size)
		errs = append(errs, err)
		return key
	}
	k := keyring{
		tokens: derive("token-digest"), refresh: derive("refresh-token"), cookie: derive("console-cookie"), check: derive("check-value"),
		imports: derive("imported-hash"), retry: derive("idempotency-key"), derive: derive("derived-secret"), mailed: derive("mailed-token"),
	}
	k.inner, k.outer = pad(k.tokens, 0x36), pad(k.tokens, 0x5c)
	block, err := aes.NewCipher(derive("seal"))
	if err != nil {
		return keyring{}, err
	}
	k.sealer, err = cipher.NewGCMWithRandomNonce(block)
	return k, errors.Join(append(errs, err)...)
}

// mac is HMAC-SHA-256 over the parts, each of which is free of NUL.
func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(strings.Join(parts, "\x00")))
	return h.Sum(nil)
}

// tokenDigest binds a token to its key and project: a row that is copied to
// another key, or written by somebody without the master key, proves nothing.
// It is mac(k.tokens, key, project, token) as two sums over what lies flat on
// the stack, since this is done for every request (RFC 2104: the inner sum over
// key xor 0x36…, the outer one over key xor 0x5c…).
func (k keyring) tokenDigest(key domain.KeyID, project domain.ProjectID, token string) [sha256.Size]byte {
	var room [sha256.BlockSize + 256]byte
	inner := append(room[:0], k.inner[:]...)
	inner = append(append(inner, key...), 0)
	inner = append(append(inner, project...), 0)
	inner = append(inner, token...)
	sum := sha256.Sum256(inner)

	var outer [sha256.BlockSize + sha256.Size]byte
	return sha256.Sum256(append(append(outer[:0], k.outer[:]...), sum[:]...))
}

// pad returns a key, no longer than a block, as HMAC puts it before what it sums.
func pad(key []byte, mask byte) (block [sha256.BlockSize]byte) {
	copy(block[:], key)
	for i := range block {
		block[i] ^= mask
	}
	return block
}

// importedDigest wraps a hash that was made elsewhere, so that its row is bound
// to key and project and proves nothing without the master key, like ours.
func (k keyring) importedDigest(key domain.KeyID, project domain.ProjectID, h domain.ForeignHash) []byte {
	return mac(k.imports, "digest", string(key), string(project), string(h.Algorithm), h.Parameters, hex.EncodeToString(h.Digest))
}

// importDigest recognises a hash that has been imported into a project.
func (k keyring) importDigest(project domain.ProjectID, h domain.ForeignHash) []byte {
	return mac(k.imports, "import", string(project), string(h.Algorithm), h.Parameters, hex.EncodeToString(h.Digest))
}

// derivedSecret is how many bytes a derived stream has: secrets are drawn from
// it as from a random source, and none needs a tenth of that.
const derivedSecret = 2048

// secrets is a source of random bytes that only this master key, this salt and
// this Idempotency-Key of this caller give: HKDF-SHA-256 (RFC 5869).
func (k keyring) secrets(salt []byte, caller, idempotencyKey string) (io.Reader, error) {
	stream, err := hkdf.Key(sha256.New, k.derive, salt, caller+"\x00"+idempotencyKey, derivedSecret)
	return bytes.NewReader(stream), err
}

// seal encrypts and authenticates plain, bound to its purpose.
func (k keyring) seal(plain []byte, purpose string) []byte {
	return k.sealer.Seal(nil, nil, plain, []byte(purpose))
}

func (k keyring) unseal(sealed []byte, purpose string) ([]byte, error) {
	return k.sealer.Open(nil, nil, sealed, []byte(purpose))
}

// checkMasterKey compares the master key with the one the database knows, and
// makes it known to a database that has seen none.
func (a *App) checkMasterKey(ctx context.Context) error {
	value := mac(a.keyring.check, "latchkey")
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
			"would be recognised. Bring back the original LATCHKEY_MASTER_KEY or key file")
	}
	return nil
}

// TokenDigests returns how a token is digested under a master key. It is for
// measuring, where keys are made by the million beside the service.
func TokenDigests(master [32]byte) (func(domain.KeyID, domain.ProjectID, domain.Token) []byte, error) {
	k, err := newKeyring(master)
	return func(key domain.KeyID, project domain.ProjectID, t domain.Token) []byte {
		digest := k.tokenDigest(key, project, t.Reveal())
		return digest[:]
	}, err
}
