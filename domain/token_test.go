package domain_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"github.com/latchkey-dev/latchkey/domain"
)

// golden tokens were made by another program, in another language.
var golden = []struct {
	text, prefix, id string
	env              domain.Environment
}{
	{"lk_live_000000000000_00000000000000000000000000000000000000000002wRDVT", "lk_live_000000000000", "000000000000", domain.Live},
	{"acme_test_AbCdEfGhIj01_The1quick2brown3fox4jumps5over6the7lazy8dog1zgnuY", "acme_test_AbCdEfGhIj01", "AbCdEfGhIj01", domain.Test},
	{"a2345678901234bc_live_zzzzzzzzzzzz_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ1bjJb5", "a2345678901234bc_live_zzzzzzzzzzzz", "zzzzzzzzzzzz", domain.Live},
	{"lk_test_000000033666_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx000X3N", "lk_test_000000033666", "000000033666", domain.Test},
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	for _, want := range golden {
		got, err := domain.ParseToken(want.text)
		if err != nil {
			t.Errorf("%s: %v", want.prefix, err)
			continue
		}
		if got.Reveal() != want.text || got.Prefix() != want.prefix || string(got.ID()) != want.id || got.Environment() != want.env {
			t.Errorf("got %q, %q, %q, %q; want %+v", got.Reveal(), got.Prefix(), got.ID(), got.Environment(), want)
		}
	}
}

// Guarantees that one wrong character anywhere, of whatever kind, is noticed
// before any look-up, as are tokens cut short, lengthened or folded in case.
func TestParseTokenRefusesMistakes(t *testing.T) {
	t.Parallel()
	for _, token := range golden {
		s := token.text
		mistakes := []string{
			"", " ", s + " ", " " + s, s + "\n", s + "\x00", s + "0", s + s, s + "_", "_" + s, "x" + s,
			token.prefix, token.prefix + "_", token.id, s[len(token.prefix):], s[len(token.prefix)+1:],
			strings.Replace(s, "_", "__", 1), strings.Replace(s, "_live_", "_prod_", 1) + "x", strings.ReplaceAll(s, "_", "-"),
			strings.ReplaceAll(s, "_", "."),
			"Api-Key " + s, "Bearer " + s, `"` + s + `"`,
		}
		if upper := strings.ToUpper(s); upper != s {
			mistakes = append(mistakes, upper)
		}
		if lower := strings.ToLower(s); lower != s {
			mistakes = append(mistakes, lower)
		}
		for i := range s {
			mistakes = append(mistakes, s[:i], s[i+1:], s[:i]+s[i+1:], s[:i]+"é"+s[i+1:])
			for _, c := range []byte("0Aa_-. \x00\xff") {
				if c != s[i] {
					mistakes = append(mistakes, s[:i]+string([]byte{c})+s[i+1:])
				}
			}
			if i > 0 && s[i] != s[i-1] {
				mistakes = append(mistakes, s[:i-1]+s[i:i+1]+s[i-1:i]+s[i+1:]) // two characters swapped
			}
		}
		for _, mistake := range mistakes {
			_, err := domain.ParseToken(mistake)
			e, ok := errors.AsType[*domain.Error](err)
			if !ok || e.Code != domain.CodeInvalidAPIKey || !e.Credential {
				t.Errorf("%q: got %v, want a refused credential, invalid_api_key", mistake, err)
			}
			if ok && len(mistake) > 20 && strings.Contains(err.Error(), mistake) {
				t.Errorf("%q: the error repeats it", mistake)
			}
		}
	}
}

// tokenForm is the form as it is published to those who scan for secrets.
var tokenForm = regexp.MustCompile(`^[a-z][a-z0-9]{1,15}_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$`)

func isToken(s string) bool {
	return tokenForm.MatchString(s) && strings.HasSuffix(s, checkOf(s[:len(s)-6]))
}

// checkOf computes the check by another way than the package: the CRC as a
// division of polynomials, bit by bit, and base 62 as math/big writes it.
func checkOf(body string) string {
	crc := ^uint32(0)
	for _, b := range []byte(body) {
		for bit := range 8 {
			odd := (crc^uint32(b>>bit))&1 == 1
			crc >>= 1
			if odd {
				crc ^= 0xedb88320
			}
		}
	}
	digits := strings.Map(func(r rune) rune { // math/big has the lower-case letters first
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, big.NewInt(int64(^crc)).Text(62))
	return strings.Repeat("0", 6-len(digits)) + digits
}

// Guarantees that exactly the published form is taken, for any input.
func FuzzParseToken(f *testing.F) {
	for _, token := range golden {
		f.Add(token.text)
		f.Add(token.text[:len(token.text)-1])
		f.Add(strings.ToLower(token.text))
		f.Add(token.prefix + "_")
	}
	f.Add("")
	f.Add("___")
	f.Add("lk_live_é\x00")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := domain.ParseToken(s)
		if got, want := err == nil, isToken(s); got != want {
			t.Fatalf("%q: taken %v, want %v", s, got, want)
		}
		if err == nil && (token.Reveal() != s || token.Prefix()+"_" != s[:len(s)-49]) {
			t.Fatalf("%q: gives %q and %q", s, token.Reveal(), token.Prefix())
		}
		// Most tokens fail because of the check: correct it, so that the form behind it
		// is explored as well.
		if len(s) > 6 {
			for _, mended := range []string{s + checkOf(s), s[:len(s)-6] + checkOf(s[:len(s)-6])} {
				_, err := domain.ParseToken(mended)
				if got, want := err == nil, isToken(mended); got != want {
					t.Fatalf("%q: taken %v, want %v", mended, got, want)
				}
			}
		}
	})
}

func TestNewToken(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, prefix := range []string{"lk", "a1", "acme", "a2345678901234bc"} {
		for _, env := range []domain.Environment{domain.Live, domain.Test} {
			for range 50 {
				token, err := domain.RandomToken(prefix, env)
				if err != nil {
					t.Fatal(err)
				}
				if !isToken(token.Reveal()) || !strings.HasPrefix(token.Reveal(), prefix+"_"+string(env)+"_") ||
					token.Environment() != env {
					t.Errorf("%q is no token of %s, %s", token.Reveal(), prefix, env)
				}
				if seen[token.Reveal()] || seen[string(token.ID())] {
					t.Errorf("%s came twice", token)
				}
				seen[token.Reveal()], seen[string(token.ID())] = true, true
			}
		}
	}
	for _, prefix := range []string{"", "a", "A1", "1a", "a_b", "lk_live", "a23456789012345bc", "é1"} {
		if token, err := domain.NewToken(prefix, domain.Live, rand.Reader); err == nil {
			t.Errorf("%q: got %s, want an error", prefix, token)
		}
	}
	if token, err := domain.NewToken("lk", "prod", rand.Reader); err == nil {
		t.Errorf("got %s, want an error for an unknown environment", token)
	}
}

// Guarantees that a token derived from a key stream can be derived again, and
// depends on every byte that it is drawn from.
func TestNewTokenIsAFunctionOfItsStream(t *testing.T) {
	t.Parallel()
	stream := make([]byte, 1024)
	rand.Read(stream)
	draw := func(r io.Reader) string {
		token, err := domain.NewToken("lk", domain.Live, r)
		if err != nil {
			t.Fatal(err)
		}
		return token.Reveal()
	}
	want := draw(bytes.NewReader(stream))
	for name, r := range map[string]io.Reader{
		"again": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"halves": iotest.HalfReader(bytes.NewReader(stream)), "data with EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		if got := draw(r); got != want {
			t.Errorf("%s: got another token", name)
		}
	}
	used := 0
	for i := range 128 {
		changed := slices.Clone(stream)
		changed[i]++
		if draw(bytes.NewReader(changed)) != want {
			used++
		}
	}
	if used < 55 {
		t.Errorf("the token depends on %d bytes, want the 55 that its characters are drawn from, at least", used)
	}

	broken := errors.New("broken")
	if _, err := domain.NewToken("lk", domain.Live, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if _, err := domain.NewToken("lk", domain.Live, bytes.NewReader(stream[:100])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// Guarantees that the characters of a secret are equally likely: over all bytes
// that can be drawn each appears four times, and eight bytes are not used.
func TestDrawingIsUnbiased(t *testing.T) {
	t.Parallel()
	count := map[byte]int{}
	for b := range 256 {
		// A stream of one byte, then of zeros where that byte is turned down.
		stream := io.MultiReader(bytes.NewReader(bytes.Repeat([]byte{byte(b)}, 128)), bytes.NewReader(make([]byte, 128)))
		token, err := domain.NewToken("lk", domain.Live, stream)
		if err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(stream); len(rest) == 0 {
			if b < 248 {
				t.Errorf("byte %d is not used", b)
			}
			continue
		}
		count[token.ID()[0]]++
	}
	if got, want := len(count), 62; got != want {
		t.Errorf("%d characters, want %d", got, want)
	}
	for c, got := range count {
		if want := 4; got != want {
			t.Errorf("%q is drawn for %d bytes, want %d", c, got, want)
		}
	}
}

// Guarantees that the id of a token made elsewhere is as random as another's: each
// character is equally likely.
func TestNewTokenID(t *testing.T) {
	t.Parallel()
	const ids = 20_000
	count := map[rune]int{}
	for range ids {
		id := domain.NewTokenID()
		if len(id) != 12 {
			t.Fatalf("%q has %d characters, want 12", id, len(id))
		}
		for _, c := range string(id) {
			count[c]++
		}
	}
	if got, want := len(count), 62; got != want {
		t.Errorf("%d characters, want %d", got, want)
	}
	for c, n := range count {
		// The standard deviation is 62. A character for five bytes and not four appears 950 times too often.
		if want := ids * 12 / 62; n < want-500 || n > want+500 {
			t.Errorf("%q is drawn %d times, want about %d", c, n, want)
		}
	}
}

// A token in a log shows which one it was.
func TestTokenPrintsItsPublicPart(t *testing.T) {
	t.Parallel()
	token, err := domain.RandomToken("lk", domain.Live)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%s", "%q", "%x", "%+v", "%#v"} {
		if got, want := fmt.Sprintf(verb, token), token.Prefix()+"_…"; got != want {
			t.Errorf("%s: got %q, want %q", verb, got, want)
		}
	}
}

// Guarantees that a token may be pasted into a search: only what it shows is used,
// also if it was cut off. What is no token stays as it is.
func TestPublicPart(t *testing.T) {
	t.Parallel()
	token, err := domain.RandomToken("acme", domain.Test)
	if err != nil {
		t.Fatal(err)
	}
	text, shown := token.Reveal(), token.Prefix()
	for from := len(shown) + 1; from <= len(text); from++ {
		if got := domain.PublicPart(text[:from]); got != shown {
			t.Errorf("cut off after %d characters: got %q, want %q", from, got, shown)
		}
	}
	for _, other := range []string{
		"", shown, "acme_test", "acme_prod_AZaz09AZaz09_x", "Acme_test_AZaz09AZaz09_x", "acme_test_AZaz09AZaz0_x",
		"acme_test_AZaz09AZaz0-_x", "acme_test_AZaz09AZaz09x_x",
	} {
		if got := domain.PublicPart(other); got != other {
			t.Errorf("%q: got %q, want it unchanged", other, got)
		}
	}
	if got, want := domain.PublicPart("acme_test_AZaz09AZaz09_x_y"), "acme_test_AZaz09AZaz09"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Guarantees that the secret is seen only where Reveal is called: no fmt verb,
// log or encoder shows it, wherever the token is buried.
func TestTokenNeverPrintsItsSecret(t *testing.T) {
	t.Parallel()
	token, err := domain.ParseToken(golden[1].text)
	if err != nil {
		t.Fatal(err)
	}
	type exported struct{ Token domain.Token }
	type unexported struct{ token domain.Token }
	type deep struct {
		Inner *exported
		list  []unexported
		any   any
	}
	var out bytes.Buffer
	values := []any{
		token, &token, exported{token}, &exported{token}, unexported{token}, &unexported{token}, []domain.Token{token},
		[]unexported{{token}}, map[string]domain.Token{"t": token}, map[string]any{"t": unexported{token}},
		deep{&exported{token}, []unexported{{token}}, unexported{token}}, fmt.Errorf("with %v: %w", token, io.EOF),
		struct{ any }{token}, [1]domain.Token{token}, domain.Token{},
	}
	for _, v := range values {
		for verb := range "vTtbcdoOqxXUeEfFgGspw!" {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "200", ".5"} {
				fmt.Fprintf(&out, "%"+flags+string("vTtbcdoOqxXUeEfFgGspw!"[verb])+"\n", v)
			}
		}
		fmt.Fprintln(&out, v)
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("message", "value", v, slog.Group("group", "value", v))
		}
		json.NewEncoder(&out).Encode(v)
		xml.NewEncoder(&out).Encode(v)
		gob.NewEncoder(&out).Encode(v)
	}
	printed := strings.ToLower(out.String())
	secret := token.Reveal()[len(token.Prefix())+1:]
	for _, part := range []string{secret[:8], secret[8:20], secret[len(secret)-8:]} {
		for _, form := range []string{
			part, fmt.Sprintf("%x", part), fmt.Sprintf("% x", part), fmt.Sprint([]byte(part)), fmt.Sprintf("%#v", []byte(part)),
			fmt.Sprintf("%b", []byte(part)), fmt.Sprintf("%o", []byte(part)), fmt.Sprintf("%U", []rune(part)),
		} {
			if strings.Contains(printed, strings.ToLower(strings.Trim(form, "[]"))) {
				t.Errorf("the secret was printed as %s", form)
			}
		}
	}
	if !strings.Contains(printed, strings.ToLower(token.Prefix())) {
		t.Error("the prefix was not printed")
	}
}

func TestZeroToken(t *testing.T) {
	t.Parallel()
	var token domain.Token
	if got := token.Reveal() + token.Prefix() + string(token.ID()) + string(token.Environment()); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

// Guarantees that the first step of every request makes no work for the garbage
// collector, whether the key is good or mistyped.
func TestParseTokenDoesNotAllocate(t *testing.T) {
	good := golden[1].text
	if got := testing.AllocsPerRun(100, func() {
		token, err := domain.ParseToken(good)
		if err != nil || token.ID() == "" || token.Prefix() == "" {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func TestValidateKeyPrefix(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"lk", "acme", "a1", "abcdefghijklmnop", "skate", "live", "test"} {
		if why := domain.ValidateKeyPrefix(prefix); why != "" {
			t.Errorf("%q: refused: %s", prefix, why)
		}
	}
	for _, prefix := range []string{
		"", "a", "1a", "A1", "Lk", "lK", "a_b", "a-b", "lk_", "lk_live", "abcdefghijklmnopq", "é1", "a b", "a\n", "a\x00",
		"lks", "sk", "rk", "pk", "ghp", "glpat", "npm", "hvs", "xoxb", "rzp", "shippo", "github", "hf", "sbp",
	} {
		if why := domain.ValidateKeyPrefix(prefix); why == "" {
			t.Errorf("%q: taken, want it refused", prefix)
		}
	}
}

func BenchmarkParseToken(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := domain.ParseToken(golden[0].text); err != nil {
			b.Fatal(err)
		}
	}
}

// Guarantees that a tag is of everything before it: no character of a token can
// be changed without changing the tag, and no other instance computes it.
func TestTag(t *testing.T) {
	t.Parallel()
	tagger := func(secret string) domain.Tagger {
		return func(start string) [32]byte {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(start))
			return [32]byte(mac.Sum(nil))
		}
	}
	ours := tagger("ours")
	for _, env := range []domain.Environment{domain.Live, domain.Test} {
		token, err := domain.NewTaggedToken("acme", env, rand.Reader, ours)
		if err != nil {
			t.Fatal(err)
		}
		text := token.Reveal()
		if !isToken(text) || !token.TaggedBy(ours) || token.TaggedBy(tagger("theirs")) {
			t.Errorf("%s: token %t, tagged by us %t, by others %t", token, isToken(text), token.TaggedBy(ours),
				token.TaggedBy(tagger("theirs")))
		}
		// The tag as the documentation has it, computed in another way.
		start, tag := text[:len(text)-16], text[len(text)-16:len(text)-6]
		code := ours(start)
		number := new(big.Int).SetBytes(code[:8])
		number.Mod(number, new(big.Int).Exp(big.NewInt(62), big.NewInt(10), nil))
		if got, want := inBase62(number, 10), tag; got != want {
			t.Errorf("got the tag %q, want %q", got, want)
		}
		for i := range len(text) - 6 {
			for _, c := range "0Zaz" {
				changed := text[:i] + string(c) + text[i+1:len(text)-6]
				sum := crc32.ChecksumIEEE([]byte(changed))
				other, err := domain.ParseToken(changed + inBase62(big.NewInt(int64(sum)), 6))
				if err == nil && changed != text[:len(text)-6] && other.TaggedBy(ours) {
					t.Errorf("character %d can be changed to %q", i, c)
				}
			}
		}
	}
	for range 1000 {
		if token, err := domain.RandomToken("lk", domain.Live); err != nil || token.TaggedBy(ours) {
			t.Errorf("%s was made without a tag, and has one: %v", token, err)
		}
	}
}

// inBase62 writes a number with leading zeros.
func inBase62(n *big.Int, length int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out := make([]byte, length)
	n, rest := new(big.Int).Set(n), new(big.Int)
	for i := range slices.Backward(out) {
		n.DivMod(n, big.NewInt(62), rest)
		out[i] = digits[rest.Int64()]
	}
	return string(out)
}
