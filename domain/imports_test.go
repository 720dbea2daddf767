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

func TestParseImportTime(t *testing.T) {
	t.Parallel()
	noon := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "2024-05-01T12:00:00Z": noon, "2024-05-01T14:00:00+02:00": noon, "2024-05-01 12:00:00": noon, "2024-05-01 14:00:00+02:00": noon,
		"2024-05-01 14:00:00+02": noon, "2024-05-01 12:00:00.25": noon.Add(250 * time.Millisecond), "2024-05-01": noon.Add(-12 * time.Hour),
	} {
		if got := domain.ParseImportTime(text); !got.Equal(want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	good := domain.ImportRow{Name: "k", Algorithm: domain.SHA256Hex, Hash: domain.Hidden(strings.Repeat("0", 64))}
	for _, text := range []string{"tomorrow", "12", "0001-01-01T00:00:00Z", "0001-01-01", "1969-12-31", "2024-13-01", "10000-01-01T00:00:00Z"} {
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
		"sha512$$" + strings.Repeat("0", 128), "pbkdf2_sha256$1000$salt$" + strings.Repeat("A", 43) + "=", strings.Repeat("0", 64), strings.Repeat("A", 43), "$$$", "",
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
		if want := map[domain.Algorithm]int{domain.DjangoSHA512: 64}[algorithm]; want != 0 && len(h.Digest) != want || len(h.Digest) < 32 {
			t.Errorf("%s %q: a digest of %d bytes", algorithm, hash, len(h.Digest))
		}
		if algorithm == domain.DjangoPBKDF2SHA256 && (h.Parameters == "" || strings.ContainsAny(h.Parameters, "\x00 ")) {
			t.Errorf("%q: parameters %q", hash, h.Parameters)
		}
	})
}
