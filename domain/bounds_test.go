package domain_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that each hash is taken up to its bounds and refused beyond them, so
// that neither a good table is refused nor a bad one costs more.
func TestHashesAtTheirBounds(t *testing.T) {
	t.Parallel()
	digest, long := strings.Repeat("A", 43), strings.Repeat("A", 86)+"=="
	hashes := map[string]bool{}
	for bound, good := range map[string]bool{"0$salt": false, "1$salt": true, "x$salt": false, "1$": false,
		"1$" + strings.Repeat("s", 128): true, "1$" + strings.Repeat("s", 129): false, "1$a salt": false, "1$sält": false} {
		hashes["pbkdf2_sha256$"+bound+"$"+digest+"="] = good
	}
	for parameters, good := range map[string]bool{
		"m=8,t=1,p=1": true, "m=7,t=1,p=1": false, "m=512,t=1,p=64": true, "m=520,t=1,p=65": false, "m=8,t=131072,p=1": true,
		"m=8,t=131073,p=1": false, "m=8,t=0,p=1": false, "t=1,m=8,p=1": false, "m=08,t=1,p=1": false, "m=8,t=1,p=1,x": false,
	} {
		hashes["argon2$argon2id$v=19$"+parameters+"$c2FsdHNhbHQ$"+digest] = good
	}
	for text, good := range map[string]bool{
		strings.Repeat("A", 22): true, strings.Repeat("A", 20): false, strings.Repeat("A", 86): true, strings.Repeat("A", 87): false,
		"": false, "!": false, digest + "!": false,
	} {
		hashes["argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$"+text] = good
	}
	for salt, good := range map[string]bool{
		"c2FsdHNhbHQ": true, "c2FsdHNhbA": false, strings.Repeat("A", 171): true, strings.Repeat("A", 172): false, "": false,
		"c2FsdHNhbHQ!": false,
	} {
		hashes["argon2$argon2id$v=19$m=8,t=1,p=1$"+salt+"$"+digest] = good
	}
	for parameters, good := range map[string]bool{
		"2$salt$1$1": true, "2$salt$0$1": false, "2$salt$1$0": false, "2$salt$1$64": true, "2$salt$1$65": false, "3$salt$1$1": false,
		"x$salt$1$1": false, "2$salt$x$1": false, "2$salt$1$x": false, "2$$1$1": false, "2$salt$1": false, "02$salt$1$1": false,
		"131072$salt$8$1": true, "131072$salt$9$1": false, "16384$salt$1$64": true, "32768$salt$1$64": false,
	} {
		hashes["scrypt$"+parameters+"$"+long] = good
	}
	hashes["scrypt$2$salt$1$1$"+digest+"="] = false // 32 bytes
	hashes["scrypt$2$salt$1$1$"+long+"!"], hashes["pbkdf2_sha256$1$salt$"+digest+"=!"] = false, false
	for version, good := range map[string]bool{"2a$04": true, "2b$04": true, "2y$04": false, "2b$4$": false, "2b$+4": false} {
		hashes["bcrypt_sha256$$"+version+"$"+strings.Repeat("a", 53)] = good
	}
	hashes["bcrypt_sha256$$2b$04$"+strings.Repeat("a", 52)] = false
	hashes["sha512$$"+strings.Repeat("0", 128)], hashes["sha512$$"+strings.Repeat("0", 126)] = true, false
	hashes["sha512$$"+strings.Repeat("x", 128)] = false
	for hash, good := range hashes {
		algorithm := domain.AlgorithmOf(hash)
		h, why := domain.ImportRow{Algorithm: algorithm, Hash: domain.Hidden(hash)}.ParseHash()
		if why == "" != good || h.Algorithm != algorithm {
			t.Errorf("%s: got %s %q, want it taken: %t", hash, h.Algorithm, why, good)
		}
	}
	for algorithm, hash := range map[domain.Algorithm]string{
		domain.DjangoSHA512:       strings.Repeat("0", 128),
		domain.DjangoPBKDF2SHA256: "1$salt$" + digest + "=",
		domain.DjangoArgon2:       "argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + digest,
		domain.DjangoScrypt:       "2$salt$1$1$" + long,
		domain.DjangoBcryptSHA256: "2b$04$" + strings.Repeat("a", 53),
	} {
		start := map[domain.Algorithm]string{domain.DjangoArgon2: "argon2$", domain.DjangoScrypt: "scrypt$"}[algorithm]
		for _, text := range []string{hash, start + digest, start} {
			if _, why := (domain.ImportRow{Algorithm: algorithm, Hash: domain.Hidden(text)}).ParseHash(); why == "" {
				t.Errorf("%s: %q is taken", algorithm, text)
			}
		}
	}
	for hash, want := range map[string]string{
		"pbkdf2_sha256$1$salt": "must be pbkdf2_sha256$", "pbkdf2_sha1$1$salt$" + digest + "=": "must be pbkdf2_sha256$",
		"argon2$x": "must be argon2$", "argon2$$x": "must end in 16 to 64 bytes", "argon2$$" + digest: "must be argon2id or argon2i",
		"scrypt$x": "must be scrypt$", "scrypt$$x": "must end in 64 bytes", "scrypt$$" + long: "must be scrypt$",
		"scrypt$2$salt$1$1$" + long + strings.Repeat("$", 512): "is longer than any",
		strings.Repeat("0", 513):                               "is longer than any", strings.Repeat("0", 512): "must be",
	} {
		for _, algorithm := range domain.ImportAlgorithms {
			if !strings.HasPrefix(strings.TrimPrefix(string(algorithm), "django-"), hash[:3]) && hash[0] != '0' {
				continue
			}
			if _, why := (domain.ImportRow{Algorithm: algorithm, Hash: domain.Hidden(hash)}).ParseHash(); !strings.Contains(why, want) {
				t.Errorf("%s: %s: got %q, want %q", algorithm, hash, why, want)
			}
		}
	}
	costly := domain.Hidden("argon2$argon2id$v=19$m=131073,t=1,p=1$c2FsdHNhbHQ$" + digest)
	_, why := domain.ImportRow{Algorithm: domain.DjangoArgon2, Hash: costly}.ParseHash()
	if want := "at most 128 MiB of memory, and 8 times that"; !strings.Contains(why, want) {
		t.Errorf("got %q, want that it says %q", why, want)
	}
}

// What a hash is computed with again is what its text says.
func TestHashParameters(t *testing.T) {
	t.Parallel()
	parse := func(hash string) domain.ForeignHash {
		h, why := domain.ImportRow{Algorithm: domain.AlgorithmOf(hash), Hash: domain.Hidden(hash)}.ParseHash()
		if why != "" {
			t.Fatalf("%s: %s", hash, why)
		}
		return h
	}
	for kind, id := range map[string]bool{"argon2id": true, "argon2i": false} {
		got, err := parse("argon2$" + kind + "$v=19$m=1024,t=2,p=8$c2FsdHNhbHQ$" + strings.Repeat("A", 43)).Argon2()
		want := domain.Argon2Parameters{ID: id, Memory: 1024, Passes: 2, Lanes: 8, Salt: "saltsalt", Length: 32}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", kind, err, diff)
		}
	}
	scrypt, err := parse("scrypt$16384$salt$8$5$" + strings.Repeat("A", 86) + "==").Scrypt()
	if diff := cmp.Diff(domain.ScryptParameters{N: 16384, R: 8, P: 5, Salt: "salt"}, scrypt); err != nil || diff != "" {
		t.Errorf("scrypt: %v %s", err, diff)
	}
	cost, salt, err := parse("bcrypt_sha256$$2b$09$" + strings.Repeat("a", 22) + strings.Repeat("b", 31)).Bcrypt()
	if cost != 9 || salt != strings.Repeat("a", 22) || err != nil {
		t.Errorf("bcrypt: got %d %q, %v", cost, salt, err)
	}
	n, salt, err := parse("pbkdf2_sha256$720000$pepper$" + strings.Repeat("A", 43) + "=").PBKDF2()
	if n != 720_000 || salt != "pepper" || err != nil {
		t.Errorf("PBKDF2: got %d %q, %v", n, salt, err)
	}
	for iterations, want := range map[string]int{"1": 1, "2000000": 2_000_000} {
		n, salt, err := domain.ForeignHash{Parameters: iterations + "$pepper"}.PBKDF2()
		if n != want || salt != "pepper" || err != nil {
			t.Errorf("PBKDF2: got %d %q, %v", n, salt, err)
		}
	}
}

// Guarantees that what is stored by another's hand, and not by an import, is never
// computed: parameters out of bounds give nothing but an error.
func TestStoredParametersAreChecked(t *testing.T) {
	t.Parallel()
	for _, parameters := range []string{
		"2b$12$" + strings.Repeat("a", 21), "2b$14$" + strings.Repeat("a", 22), "2b$12$" + strings.Repeat("a", 22) + "$x", "2b$1",
		"2b$120$" + strings.Repeat("a", 22), "3b$12$" + strings.Repeat("a", 22), "",
	} {
		if cost, salt, err := (domain.ForeignHash{Parameters: parameters}).Bcrypt(); err == nil || cost != 0 || salt != "" {
			t.Errorf("bcrypt %q: got %d %q, %v", parameters, cost, salt, err)
		}
	}
	for _, parameters := range []string{
		"argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$15", "argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$65", "argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ",
		"argon2d$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$32", "argon2id$v=18$m=8,t=1,p=1$c2FsdHNhbHQ$32", "",
	} {
		if p, err := (domain.ForeignHash{Parameters: parameters}).Argon2(); err == nil {
			t.Errorf("argon2 %q: got %+v", parameters, p)
		}
	}
}

// Guarantees that texts and times are taken up to their bounds, which the contract
// shows, and not beyond.
func TestBounds(t *testing.T) {
	t.Parallel()
	key := func(change func(*domain.KeySpec)) error {
		spec := goodKeySpec()
		change(&spec)
		return spec.Validate()
	}
	password := func(n int) error {
		text := []rune(strings.Repeat("violet otters räd maps", 12))[:n]
		return domain.SignUp{Email: "ada@example.com", Password: domain.Hidden(text)}.Validate(nil)
	}
	idempotency := func(s string) error {
		if why := domain.ValidateIdempotencyKey(s); why != "" {
			return domain.NotFound()
		}
		return nil
	}
	grace := func(d time.Duration) error { return domain.Rotation{Grace: &d}.Validate() }
	for name, c := range map[string]struct {
		within, beyond error
	}{
		"a password of 12":     {password(12), password(11)},
		"a password of 256":    {password(256), password(257)},
		"no grace":             {grace(0), grace(-1)},
		"30 days of grace":     {grace(720 * time.Hour), grace(720*time.Hour + 1)},
		"Idempotency-Key, 16":  {idempotency(strings.Repeat("x", 16)), idempotency(strings.Repeat("x", 15))},
		"Idempotency-Key, 128": {idempotency(strings.Repeat("x", 128)), idempotency(strings.Repeat("x", 129))},
		"Idempotency-Key, !":   {idempotency(strings.Repeat("!", 16)), idempotency(strings.Repeat(" ", 16))},
		"Idempotency-Key, ~":   {idempotency(strings.Repeat("~", 16)), idempotency(strings.Repeat("\x7f", 16))},
		"100 scopes": {
			key(func(s *domain.KeySpec) { s.Scopes = slices.Repeat([]domain.Scope{domain.KeysRead}, 100) }),
			key(func(s *domain.KeySpec) { s.Scopes = slices.Repeat([]domain.Scope{domain.KeysRead}, 101) }),
		},
		"an external id of 200": {
			key(func(s *domain.KeySpec) { s.ExternalID = strings.Repeat("x", 200) }),
			key(func(s *domain.KeySpec) { s.ExternalID = strings.Repeat("x", 201) }),
		},
		"50 names in metadata": {
			key(func(s *domain.KeySpec) { s.Metadata = names(50) }), key(func(s *domain.KeySpec) { s.Metadata = names(51) }),
		},
		"a name in metadata of 64": {
			key(func(s *domain.KeySpec) { s.Metadata = map[string]string{strings.Repeat("é", 64): ""} }),
			key(func(s *domain.KeySpec) { s.Metadata = map[string]string{strings.Repeat("é", 65): ""} }),
		},
		"the year 1970": {
			key(func(s *domain.KeySpec) { s.ExpiresAt = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC) }),
			key(func(s *domain.KeySpec) { s.ExpiresAt = time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC) }),
		},
		"the year 9999": {
			key(func(s *domain.KeySpec) { s.ExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }),
			key(func(s *domain.KeySpec) { s.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }),
		},
	} {
		if c.within != nil || c.beyond == nil {
			t.Errorf("%s: got %v within the bound and %v beyond it", name, c.within, c.beyond)
		}
	}
	if err := (domain.Rotation{}).Validate(); err != nil {
		t.Errorf("a rotation with the usual grace: %v", err)
	}
}

func names(n int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all[strconv.Itoa(i)] = ""
	}
	return all
}

// Guarantees that an answer about an import has at most a thousand errors, and
// counts the others.
func TestImportErrorsAreBounded(t *testing.T) {
	t.Parallel()
	var r domain.ImportResult
	for range 1002 {
		r.Complain("/7", domain.FieldError{Pointer: "/hash", Detail: "is wrong"})
	}
	if len(r.Errors) != 1000 || r.More != 2 || r.Errors[0] != (domain.FieldError{Pointer: "/7/hash", Detail: "is wrong"}) {
		t.Errorf("got %d errors and %d more, the first %+v", len(r.Errors), r.More, r.Errors[0])
	}
}
