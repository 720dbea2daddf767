package service

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"slices"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blowfish" //nolint:staticcheck // deprecated for new systems; bcrypt is made of it
	"golang.org/x/crypto/scrypt"

	"github.com/latchkey-dev/latchkey/domain"
)

// foreignDigest computes what another system stores of a token, with the
// parameters of h. It fails for parameters with which no key could have been
// imported.
func foreignDigest(h domain.ForeignHash, token string) ([]byte, error) {
	switch h.Algorithm {
	case domain.DjangoSHA512:
		digest := sha512.Sum512([]byte(token))
		return digest[:], nil
	case domain.DjangoPBKDF2SHA256:
		iterations, salt, err := h.PBKDF2()
		if err != nil {
			return nil, err
		}
		return pbkdf2.Key(sha256.New, token, []byte(salt), iterations, sha256.Size)
	case domain.DjangoArgon2:
		p, err := h.Argon2()
		if err != nil {
			return nil, err
		}
		if p.ID {
			return argon2.IDKey([]byte(token), []byte(p.Salt), p.Passes, p.Memory, p.Lanes, p.Length), nil
		}
		return argon2.Key([]byte(token), []byte(p.Salt), p.Passes, p.Memory, p.Lanes, p.Length), nil
	case domain.DjangoBcryptSHA256:
		cost, salt, err := h.Bcrypt()
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256([]byte(token)) // since bcrypt reads 72 bytes at most
		return bcrypt([]byte(hex.EncodeToString(digest[:])), cost, salt)
	case domain.DjangoScrypt:
		p, err := h.Scrypt()
		if err != nil {
			return nil, err
		}
		return scrypt.Key([]byte(token), []byte(p.Salt), p.N, p.R, p.P, 64)
	default:
		digest := sha256.Sum256([]byte(token))
		return digest[:], nil
	}
}

// bcryptEncoding is base64 in the order of characters that bcrypt has.
var bcryptEncoding = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// bcrypt is the hash of a password as in "A Future-Adaptable Password Scheme"
// (Provos and Mazières, 1999), in its base64. golang.org/x/crypto/bcrypt only
// compares with a whole hash, which Latchkey does not keep.
func bcrypt(password []byte, cost int, salt string) ([]byte, error) {
	key := slices.Concat(password, []byte{0})
	raw, err := bcryptEncoding.DecodeString(salt)
	if err != nil {
		return nil, err
	}
	cipher, err := blowfish.NewSaltedCipher(key, raw)
	if err != nil {
		return nil, err
	}
	for range 1 << cost {
		blowfish.ExpandKey(key, cipher)
		blowfish.ExpandKey(raw, cipher)
	}
	digest := []byte("OrpheanBeholderScryDoubt")
	for i := 0; i < len(digest); i += blowfish.BlockSize {
		for range 64 {
			cipher.Encrypt(digest[i:], digest[i:])
		}
	}
	return []byte(bcryptEncoding.EncodeToString(digest[:len(digest)-1])), nil
}
