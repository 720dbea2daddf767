package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that the same hash, written in another way, is the same hash.
func TestParseHash(t *testing.T) {
	t.Parallel()
	for algorithm, spellings := range map[domain.Algorithm][2]string{
		domain.DjangoSHA512:    {"sha512$$" + strings.Repeat("ab", 64), "sha512$$" + strings.Repeat("AB", 64)},
		domain.SHA256Hex:       {strings.Repeat("ab", 32), strings.Repeat("Ab", 32)},
		domain.SHA256Base64URL: {strings.Repeat("_-A", 14) + "8", strings.Repeat("_-A", 14) + "8="},
		domain.DjangoPBKDF2SHA256: {
			"pbkdf2_sha256$0720000$salt$" + strings.Repeat("A", 43) + "=", "pbkdf2_sha256$720000$salt$" + strings.Repeat("A", 43) + "=",
		},
	} {
		first, why := domain.ImportRow{Algorithm: algorithm, Hash: domain.Hidden(spellings[0])}.ParseHash()
		second, whyToo := domain.ImportRow{Algorithm: algorithm, Hash: domain.Hidden(spellings[1])}.ParseHash()
		if why != "" || whyToo != "" || string(first.Digest) != string(second.Digest) || first.Parameters != second.Parameters {
			t.Errorf("%s: got %v %q and %v %q", algorithm, first, why, second, whyToo)
		}
	}
}

// Guarantees that no hash costs more than its bound, neither when it is
// imported nor after someone has changed it in the database.
func TestHashesAreBounded(t *testing.T) {
	t.Parallel()
	digest, long := strings.Repeat("A", 43), strings.Repeat("A", 86)+"=="
	for hash, good := range map[string]bool{
		"pbkdf2_sha256$1000000$salt$" + digest + "=": true, "pbkdf2_sha256$1000001$salt$" + digest + "=": false,
		"argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$" + digest: true,
		"argon2$argon2i$v=19$m=131072,t=8,p=1$c2FsdHNhbHQ$" + digest:  true,
		"argon2$argon2id$v=19$m=131073,t=2,p=8$c2FsdHNhbHQ$" + digest: false,
		"argon2$argon2id$v=19$m=131072,t=9,p=1$c2FsdHNhbHQ$" + digest: false,
		"argon2$argon2id$v=19$m=8,t=2,p=8$c2FsdHNhbHQ$" + digest:      false,
		"argon2$argon2d$v=19$m=8192,t=2,p=8$c2FsdHNhbHQ$" + digest:    false,
		"argon2$argon2id$v=19$m=1024,t=2,p=0$c2FsdHNhbHQ$" + digest:   false,
		"argon2$argon2id$v=16$m=1024,t=2,p=1$c2FsdHNhbHQ$" + digest:   false,
		"scrypt$16384$salt$8$5$" + long:                               true,
		"scrypt$131072$salt$8$1$" + long:                              true,
		"scrypt$131072$salt$8$2$" + long:                              false,
		"scrypt$16385$salt$8$5$" + long:                               false,
		"scrypt$262144$salt$8$1$" + long:                              false,
		"scrypt$1$salt$8$1$" + long:                                   false,
		"bcrypt_sha256$$2b$13$" + strings.Repeat("a", 53):             true, "bcrypt_sha256$$2b$14$" + strings.Repeat("a", 53): false,
		"bcrypt_sha256$$2b$31$" + strings.Repeat("a", 53): false, "bcrypt_sha256$$2b$03$" + strings.Repeat("a", 53): false,
		"bcrypt_sha256$$2b$12$" + strings.Repeat("a", 52) + "$": false,
	} {
		row := domain.ImportRow{Algorithm: domain.AlgorithmOf(hash), Hash: domain.Hidden(hash)}
		if _, why := row.ParseHash(); why == "" != good {
			t.Errorf("%s: got %q, want it taken: %t", hash, why, good)
		}
	}
	for _, parameters := range []string{"1000000000000000000$salt", "2000001$salt", "0$salt", "1000$", "-1$salt", "x"} {
		h := domain.ForeignHash{Algorithm: domain.DjangoPBKDF2SHA256, Parameters: parameters}
		if n, _, err := h.PBKDF2(); err == nil {
			t.Errorf("%s: %d iterations would be computed", parameters, n)
		}
	}
}

// The slow hashes are those that a project chooses because they are slow.
func TestSlowHashes(t *testing.T) {
	t.Parallel()
	slow := map[domain.Algorithm]bool{
		domain.DjangoPBKDF2SHA256: true, domain.DjangoArgon2: true, domain.DjangoBcryptSHA256: true, domain.DjangoScrypt: true,
	}
	for _, a := range domain.Algorithms {
		if got := a.Slow(); got != slow[a] {
			t.Errorf("%s: got %v, want %v", a, got, slow[a])
		}
	}
	if got := domain.AlgorithmOf("md5$salt$0"); got != "" {
		t.Errorf("an unknown hash: got %q", got)
	}
}

func TestParseImportTime(t *testing.T) {
	t.Parallel()
	noon := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "NULL": {}, "null": {}, `\N`: {}, "2024-05-01 12:00:00+0000": noon,
		"2024-05-01 14:00:00.5+0200": noon.Add(500 * time.Millisecond), "2024-05-01T12:00:00Z": noon, "2024-05-01T14:00:00+02:00": noon,
		"2024-05-01 12:00:00": noon, "2024-05-01 14:00:00+02:00": noon,
		"2024-05-01 14:00:00+02": noon, "2024-05-01 12:00:00.25": noon.Add(250 * time.Millisecond), "2024-05-01": noon.Add(-12 * time.Hour),
	} {
		if got := domain.ParseImportTime(text); !got.Equal(want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	good := domain.ImportRow{Name: "k", Algorithm: domain.SHA256Hex, Hash: domain.Hidden(strings.Repeat("0", 64))}
	for _, text := range []string{"tomorrow", "12", "0001-01-01T00:00:00Z", "0001-01-01", "1969-12-31", "2024-13-01",
		"10000-01-01T00:00:00Z"} {
		row := good
		row.ExpiresAt = domain.ParseImportTime(text)
		if got := fields(t, row.Validate()); len(got) != 1 || got[0] != "/expires_at" {
			t.Errorf("%q: got %v, want it refused", text, got)
		}
	}
}

// Whatever a hash says, reading it neither fails in another way than saying why,
// nor lets one verification cost more than the bound.
func FuzzParseHash(f *testing.F) {
	for _, hash := range []string{
		"sha512$$" + strings.Repeat("0", 128), "pbkdf2_sha256$1000$salt$" + strings.Repeat("A", 43) + "=", strings.Repeat("0", 64),
		strings.Repeat("A", 43), "$$$", "",
		"argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$" + strings.Repeat("A", 43),
		"scrypt$16384$salt$8$5$" + strings.Repeat("A", 86) + "==",
		"bcrypt_sha256$$2b$12$" + strings.Repeat("a", 53),
	} {
		for i := range domain.ImportAlgorithms {
			f.Add(i, hash)
		}
	}
	f.Fuzz(func(t *testing.T, i int, hash string) {
		algorithm := domain.ImportAlgorithms[uint(i)%uint(len(domain.ImportAlgorithms))]
		h, why := domain.ImportRow{Algorithm: algorithm, Hash: domain.Hidden(hash)}.ParseHash()
		if why != "" {
			return
		}
		if want := map[domain.Algorithm]int{domain.DjangoSHA512: 64}[algorithm]; want != 0 && len(h.Digest) != want || len(h.Digest) < 16 {
			t.Errorf("%s %q: a digest of %d bytes", algorithm, hash, len(h.Digest))
		}
		if p, err := h.Argon2(); algorithm == domain.DjangoArgon2 && (err != nil || p.Memory > 128<<10) {
			t.Errorf("%q: parameters %q: %v", hash, h.Parameters, err)
		}
		if p, err := h.Scrypt(); algorithm == domain.DjangoScrypt && (err != nil || p.N*p.R > 1<<20) {
			t.Errorf("%q: parameters %q: %v", hash, h.Parameters, err)
		}
		if cost, _, err := h.Bcrypt(); algorithm == domain.DjangoBcryptSHA256 && (err != nil || cost > 13) {
			t.Errorf("%q: parameters %q: %v", hash, h.Parameters, err)
		}
		if algorithm == domain.DjangoPBKDF2SHA256 && (h.Parameters == "" || strings.ContainsAny(h.Parameters, "\x00 ")) {
			t.Errorf("%q: parameters %q", hash, h.Parameters)
		}
	})
}
