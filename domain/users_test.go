package domain_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestNormalizeEmail(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("a", 248) + "@b.com"
	for s, want := range map[string]string{
		"ada@example.com":         "ada@example.com",
		" Ada@Example.COM\t":      "ada@example.com",
		"ada+keys@sub.example.de": "ada+keys@sub.example.de",
		"o'hara@example.com":      "o'hara@example.com",
		"Ä@Müller.de":             "ä@müller.de",
		"root@localhost":          "root@localhost",
		longest:                   longest,
		"a" + longest:             "",

		// Kelvin signs take three bytes each, and one in lower case.
		strings.Repeat("\u212a", 167) + "@bb.com":  strings.Repeat("k", 167) + "@bb.com",
		strings.Repeat("\u212a", 167) + "@bbb.com": "", // over twice the longest

		"": "", "@": "", "ada": "", "ada@": "", "@example.com": "", "a@b@c": "", "a b@c.de": "", "a@b c.de": "",
		"a@b\tc.de": "",
		"a@-b.de":   "", "a@b.de-": "", "a@.b.de": "", "a@b.de.": "", "a@b..de": "",
		"a\x00@b.de": "", "a@b.de\x00": "", "a\x7f@b.de": "", "a\r\nBcc: c@d.de": "", "a\xff@b.de": "", "a@b\xff.de": "",
		"a\u00a0b@c.de": "", "a\u200b@c.de": "", "a\u202e@c.de": "", "a\u2028@c.de": "",
		"Ada <ada@example.com>": "", "<ada@example.com>": "", "a,b@c.de": "", "a;b@c.de": "", `"a"@b.de`: "", "a@b.de,c@d.de": "",
		"(x)a@b.de": "",
	} {
		if got := domain.NormalizeEmail(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

// Guarantees that an address has one form: normalising it again changes
// nothing, and no letter case makes a second account of it.
func FuzzNormalizeEmail(f *testing.F) {
	for _, s := range []string{"Ada@Example.com", "İ@ı.com", "\u212a@k.de", "ß@ẞ.de", "ǅ@a", "a\xff@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := domain.NormalizeEmail(s)
		if once == "" {
			return
		}
		if !utf8.ValidString(once) || strings.ContainsAny(once, "\r\n\x00 ") || len(once) > domain.MaxEmailLength {
			t.Errorf("%q gives %q", s, once)
		}
		if twice := domain.NormalizeEmail(once); twice != once {
			t.Errorf("%q gives %q, and that %q", s, once, twice)
		}
	})
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	const good = "violet otters read maps"
	for _, test := range []struct {
		from domain.SignUp
		want []string
	}{
		{domain.SignUp{Email: "ada@example.com", Password: good}, nil},
		{domain.SignUp{Email: "ada@example.com", Password: good, Name: strings.Repeat("é", 100)}, nil},
		{domain.SignUp{Email: "ada", Password: "short", Name: strings.Repeat("é", 101)}, []string{"/email", "/name", "/password"}},
		{domain.SignUp{}, []string{"/email", "/password"}},
	} {
		if diff := cmp.Diff(test.want, fields(t, test.from.Validate(nil))); diff != "" {
			t.Errorf("%+v: %s", test.from, diff)
		}
	}
}

func passwordRefused(s string) bool {
	var v domain.Invalid
	v.Password("/password", s, nil)
	return v.Err() != nil
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"violet otters read maps", "correct horse battery staple", "correct-horse-battery-staple-1", "tr0ub4dor&3-and-more",
		"K7#qZ1vX9$mN", "äöüßéèêñçšžő", "日本語のパスワードは長いです", "🦊🦉🐙🦔🦋🐝🦀🐳🦚🐢🦎🦑",
		"my cat sleeps till noon", "\x00nul is a character", "            x           y", strings.Repeat("ab1", 84) + "c",
		"password1pas", "1029384756abz", "83920174652931", "zqxjvzqxjvzqxjv",
	} {
		if passwordRefused(s) {
			t.Errorf("%q: refused, want it taken", s)
		}
	}
	for _, s := range []string{
		"", "short", "elevenchars", "äöüßéèêñçšž" /* 11 characters in 22 bytes */, strings.Repeat("xY3 ", 64) + "z", "violet otters \xff",
		"passwordpassword", "PasswordPassword", "password1234", "Password2024!", "P@ssw0rd2024!", "123password123", "!!password!!!!",
		"Summer2024!!", "iloveyousomuch", "ILoveYouSoMuch", "qwertyuiop123", "1q2w3e4r5t6y", "1qaz2wsx3edc", "123456789012",
		"aaaaaaaaaaaa", "éééééééééééé",
		"monkeymonkey7!", "zqxjzqxjzqxj?3", "abcabcabcabc", "zqxjzqxjzqxj", "monkeymonkey", "letmein12345", "changeme1234",
		"administrator", "йцукенйцукен", "            ", "............", "manchesterunited", "trustno1trustno1", "latchkey2024!",
	} {
		if !passwordRefused(s) {
			t.Errorf("%q: taken, want it refused", s)
		}
	}
}

// The list can be searched: sorted, each line once and in the form in which
// passwords are looked up. Each line refuses something that is long enough.
func TestCommonPasswordsAreTidy(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("passwords.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if !slices.IsSorted(lines) || len(slices.Compact(slices.Clone(lines))) != len(lines) {
		t.Error("the list is not sorted, or repeats itself")
	}
	long := 0
	for _, line := range lines {
		if line != strings.ToLower(line) || line != strings.TrimSpace(line) || len(line) < 3 {
			t.Errorf("%q is not in the form in which passwords are looked up", line)
		}
		if utf8.RuneCountInString(line) < domain.MinPasswordLength {
			line += "!2024!2024!2024"[:max(0, domain.MinPasswordLength-utf8.RuneCountInString(line))]
		} else {
			long++
		}
		if !passwordRefused(line) || !passwordRefused(strings.ToUpper(line)) {
			t.Errorf("%q: taken, want it refused", line)
		}
	}
	if long < 1000 {
		t.Errorf("only %d are long enough to be chosen", long)
	}
}

func BenchmarkPassword(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if passwordRefused("violet otters read maps") {
			b.Fatal("refused")
		}
	}
}

// Guarantees that no account and no invitation is made for an address that no
// mail can reach, which would keep a mail server busy for nothing.
func TestDeliverableEmail(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"ada@example.com", "a.b+c@example.com", "ä@müller.de", "u@xn--bcher-kva.example", "root@localhost", strings.Repeat("a", 64) +
			"@b.de",
	} {
		if got := domain.DeliverableEmail(s); got != s {
			t.Errorf("%q: got %q, want it taken", s, got)
		}
	}
	for _, s := range []string{
		"x..y@example.com", ".x@example.com", "x.@example.com", strings.Repeat("a", 65) + "@b.de", "x@a_b.de", "x@-a.de", "x@a-.de",
		"x@a!b.de",
		"x@a..de", "x@" + strings.Repeat("a", 64) + ".de", "x@a.-b.de", "x@exa/mple.com", "", "x", "x@",
	} {
		if got := domain.DeliverableEmail(s); got != "" {
			t.Errorf("%q: got %q, want it refused", s, got)
		}
	}
}

// A host name has letters, digits and dashes, and letters of every script.
func TestHostNames(t *testing.T) {
	t.Parallel()
	for c := range rune(0x100) {
		address := "x@a" + string(c) + "b.de"
		taken := strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-.", unicode.ToLower(c)) ||
			c >= 0x80 && unicode.IsGraphic(c) && !unicode.IsSpace(c)
		if got := domain.DeliverableEmail(address) != ""; got != taken {
			t.Errorf("%q: taken %v, want %v", address, got, taken)
		}
	}
}

// Guarantees that a name writes nowhere but into its place: not to the next line,
// not to the operator's terminal, not in the other direction.
func TestNamesAreOfOneLine(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"\x1b[2J\r\nusr_0 root@example.com", "a\nb", "a\tb", "a\x00b", "a\x7fb", "a\u0085b", "a\u2028b", "a\u202ab",
		"a\u202eb", "a\u2066b", "a\u2069b",
		"a\x9bb",
	} {
		var v domain.Invalid
		v.Name("/name", name)
		if err := (domain.SignUp{Email: "ada@example.com", Password: "violet otters read maps", Name: name}).Validate(nil); err == nil ||
			len(v) != 1 {
			t.Errorf("%q: taken, want it refused", name)
		}
	}
	for _, name := range []string{"Ada Lovelace", "日本 太郎", "مُحَمَّد", "O'Hara – Söhne & Co. 🦊", "e\u0301", "می\u200cخواهم", "a\u202fb",
		"a\u206ab"} {
		var v domain.Invalid
		if v.Name("/name", name); len(v) > 0 {
			t.Errorf("%q: refused, want it taken", name)
		}
	}
}

// Guarantees that a password is not built on what an attacker knows of its
// person: their name, their address and what it is for.
func TestPasswordsKnowNothingOfTheirPerson(t *testing.T) {
	t.Parallel()
	for password, refused := range map[string]bool{
		"gracehopper-2026!": true, "Gr4c3 and the ships": true, "my H.o.p.p.e.r ships": true, "amazing.grace@navy.example!": true,
		"the LATCHKEY door 7": true, "violet otters read maps": false, "gra hop violet maps": false,
	} {
		err := domain.SignUp{Email: "amazing.grace@navy.example", Password: domain.Hidden(password), Name: "Grace Hopper Al"}.Validate(nil)
		if got := err != nil; got != refused {
			t.Errorf("%q: got %v, want it refused: %t", password, err, refused)
		}
	}
}
