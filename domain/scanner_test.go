package domain_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// found returns the expressions of rules in a format, without those of allow lists.
func expressions(t *testing.T, format domain.ScannerFormat, prefixes ...string) (all []*regexp.Regexp) {
	t.Helper()
	rules, err := domain.ScannerRules(format, prefixes)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:regex = '''|\s+token: '|Secret format: )(.*?)'*$`).FindAllStringSubmatch(rules, -1) {
		all = append(all, regexp.MustCompile(m[1]))
	}
	if len(all) != len(prefixes) {
		t.Fatalf("%s: got the rules %s, want %d", format, rules, len(prefixes))
	}
	return all
}

// The rules of each format find every token, whole, wherever it is, and nothing in a
// megabyte of noise, in cut tokens and in those of another prefix.
func TestScannerRulesFindTokens(t *testing.T) {
	t.Parallel()
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = letters[random.IntN(len(letters))]
	}
	for _, format := range domain.ScannerFormats {
		rules := expressions(t, format, "lk", "acme")
		for i, prefix := range []string{"acme", "lk"} {
			for _, env := range []domain.Environment{domain.Live, domain.Test} {
				made, err := domain.RandomToken(prefix, env)
				if err != nil {
					t.Fatal(err)
				}
				token := made.Reveal()
				around := []string{token, "key=" + token, `"` + token + `",`, "https://x/?k=" + token + "&a=b", "\t" + token + "\n"}
				for _, around := range around {
					if got := rules[i].FindString(around); got != token {
						t.Errorf("%s: got %q in %q", format, got, around)
					}
				}
				if got := rules[i].FindString(token[:len(token)-1]); got != "" {
					t.Errorf("%s: got %q of a cut token", format, got)
				}
				if got := rules[1-i].FindString(token); got != "" {
					t.Errorf("%s: the rule of another prefix finds %q", format, got)
				}
			}
		}
		for _, rule := range rules {
			if got := rule.Find(noise); got != nil {
				t.Errorf("%s: got %s in noise", format, got)
			}
		}
	}
	for _, wrong := range []string{"", "Lk", "l", strings.Repeat("a", 17), "a\nb"} {
		if _, err := domain.ScannerRules(domain.Gitleaks, []string{wrong}); domain.CodeOf(err) != domain.CodeValidationFailed {
			t.Errorf("the prefix %q: got %v", wrong, err)
		}
	}
	if _, err := domain.ScannerRules("yara", []string{"lk"}); domain.CodeOf(err) != domain.CodeValidationFailed {
		t.Errorf("an unknown format: got %v", err)
	}
}
