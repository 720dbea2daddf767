package domain

import (
	"fmt"
	"slices"
	"strings"
)

// ScannerFormat is the format of rules by which a secret scanner finds tokens.
type ScannerFormat string

// The formats.
const (
	Gitleaks   ScannerFormat = "gitleaks"   // also that of betterleaks
	Trufflehog ScannerFormat = "trufflehog" // custom detectors
	GitHub     ScannerFormat = "github"     // the fields of a custom pattern
)

// ScannerFormats are all of them.
var ScannerFormats = []ScannerFormat{Gitleaks, Trufflehog, GitHub}

// exampleTokenID is the id in the example tokens of the contract, which are no leak.
const exampleTokenID = "vF7U4YOYLkq6" //nolint:gosec // it is the public part

// ScannerRules returns rules that find exactly what has the form of a token with one of
// the prefixes. They need no entropy, because nothing else has this form.
func ScannerRules(format ScannerFormat, prefixes []string) (string, error) {
	rule, ok := map[ScannerFormat]func(prefix, pattern string) string{
		Gitleaks: gitleaksRule, Trufflehog: trufflehogRule, GitHub: gitHubRule,
	}[format]
	if !ok {
		return "", Errorf(CodeValidationFailed, "The format must be gitleaks, trufflehog or github.")
	}
	prefixes = slices.Compact(slices.Sorted(slices.Values(prefixes)))
	var rules strings.Builder
	rules.WriteString(map[ScannerFormat]string{
		Gitleaks:   "title = \"Latchkey\"\n",
		Trufflehog: "detectors:\n",
		GitHub:     "Custom patterns for secret scanning, one for each prefix.\n",
	}[format])
	for _, prefix := range prefixes {
		if !isKeyPrefix(prefix) {
			return "", Errorf(CodeValidationFailed,
				"A prefix must be 2 to 16 characters: a lower-case letter, then lower-case letters and digits.")
		}
		rules.WriteString(rule(prefix, fmt.Sprintf("%s_(live|test)_[0-9A-Za-z]{%d}_[0-9A-Za-z]{%d}", prefix, tokenIDLength,
			secretLength+checkLength)))
	}
	return rules.String(), nil
}

func gitleaksRule(prefix, pattern string) string {
	return fmt.Sprintf(`
[[rules]]
id = "latchkey-%[1]s"
description = "Latchkey API key (%[1]s)"
regex = '''\b(%[2]s)\b'''
secretGroup = 1
keywords = ["%[1]s_live_", "%[1]s_test_"]
[[rules.allowlists]]
description = "the example of Latchkey's documentation"
regexTarget = "match"
regexes = ['''_%[3]s_''']
`, prefix, pattern, exampleTokenID)
}

func trufflehogRule(prefix, pattern string) string {
	return fmt.Sprintf(`  - name: Latchkey API key (%[1]s)
    keywords: [%[1]s_live_, %[1]s_test_]
    regex:
      token: '\b(%[2]s)\b'
    exclude_words: [%[3]s]
`, prefix, strings.Replace(pattern, "(live|test)", "(?:live|test)", 1), exampleTokenID)
}

func gitHubRule(prefix, pattern string) string {
	return fmt.Sprintf(`
Pattern name: Latchkey API key (%[1]s)
Secret format: %[2]s
Before secret: \A|[^0-9A-Za-z_]
After secret: \z|[^0-9A-Za-z_]
`, prefix, pattern)
}
