package domain_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// worstInputs are what makes each validator of what strangers send work the
// longest, at a given size.
var worstInputs = []struct {
	name  string
	size  int // what a caller can send
	input func(n int) string
	check func(s string)
}{
	{"periodic password", domain.MaxPasswordLength, func(n int) string { return strings.Repeat("2?+#=", n/5+1)[:n] }, checkPassword},
	{"password of signs", domain.MaxPasswordLength, func(n int) string { return strings.Repeat("!", n-1) + "x" }, checkPassword},
	{"common password, many times", domain.MaxPasswordLength, func(n int) string { return strings.Repeat("manchesterunited1!", n)[:n] }, checkPassword},
	{"Fibonacci password", domain.MaxPasswordLength, fibonacci, checkPassword},
	{"password beyond the limit", 1 << 16, func(n int) string { return strings.Repeat("2?+#=", n/5+1)[:n] }, checkPassword},
	{"address of labels", 1 << 16, func(n int) string { return "a@" + strings.Repeat("b.", n/2) + "com" }, checkEmail},
	{"address of dots", 1 << 16, func(n int) string { return strings.Repeat(".", n) + "@example.com" }, checkEmail},
	{"address without an at sign", 1 << 16, func(n int) string { return strings.Repeat("é", n/2) }, checkEmail},
	{"name of spaces", 1 << 16, func(n int) string { return strings.Repeat(" ", n) }, checkName},
	{"name of marks", 1 << 16, func(n int) string { return strings.Repeat("\u0301", n/2) }, checkName},
	{"scope of letters", 1 << 16, func(n int) string { return strings.Repeat("a", n) }, checkScope},
	{"scope of colons", 1 << 16, func(n int) string { return "a" + strings.Repeat(":a", n/2) }, checkScope},
	{"distinct scopes", 1 << 16, func(n int) string { return strings.Repeat("a:b,", n/4) }, checkScopes},
	{"metadata of short names", 1 << 14, words, checkMetadata},
	{"metadata of one name", 1 << 16, func(n int) string { return strings.Repeat("é", n/2) }, checkMetadata},
	{"slug of dashes", 1 << 16, func(n int) string { return strings.Repeat("a-", n/2) + "-" }, checkSlug},
	{"slug of a name of signs", 4 * domain.MaxNameLength, func(n int) string { return strings.Repeat("a!", n/2) }, func(s string) { domain.SlugFrom(s, "a") }},
	{"prefix of letters", 1 << 16, func(n int) string { return strings.Repeat("a", n) }, func(s string) { domain.ValidateKeyPrefix(s) }},
	{"token of underscores", 1 << 14, func(n int) string { return strings.Repeat("a_", n/2) }, func(s string) { _, _ = domain.ParseToken(s) }},
	{"token without secret", 1 << 14, func(n int) string { return strings.Repeat("lk_live_", n/8) }, func(s string) { domain.PublicPart(s) }},
	{"idempotency key", 1 << 14, func(n int) string { return strings.Repeat("a", n) }, func(s string) { domain.ValidateIdempotencyKey(s) }},
	{"cursor", 1 << 14, func(n int) string { return strings.Repeat("A", n) }, func(s string) { _, _ = domain.NewPage(1, s) }},
	{"user agent", 1 << 14, func(n int) string { return strings.Repeat("é\x00", n/3) }, func(s string) { domain.UserAgent(s) }},
	{"time of many digits", 1 << 16, func(n int) string { return "2030-01-31T12:00:00." + strings.Repeat("9", n) + "Z" }, checkTimes},
	{"import row of dollars", domain.MaxImportRowBytes, func(n int) string { return "pbkdf2_sha256" + strings.Repeat("$", n) }, checkRow},
	{"limits of long names", 1 << 16, func(n int) string { return strings.Repeat("a", n) }, checkLimits},
	{"limits of slashes", 1 << 16, func(n int) string { return strings.Repeat("a/", n/2) }, checkLimits},
	{"cost of words", 1 << 14, words, checkCosts},
	{"import row of digits", domain.MaxImportRowBytes, digits, checkRow},
}

// words is as many short words as fit.
func words(n int) string { return strings.TrimSpace(strings.Repeat("abcd ", n/5)) }

func digits(n int) string { return "pbkdf2_sha256$" + strings.Repeat("9", n) + "$s$a" }

func checkScope(s string) { domain.ValidateScope(domain.Scope(s)) }

func checkSlug(s string) { _ = domain.ProjectSpec{Name: "a", Slug: s}.Validate() }

func checkScopes(s string) {
	var scopes []domain.Scope
	for i := range strings.SplitSeq(s, ",") {
		scopes = append(scopes, domain.Scope(i))
	}
	_ = domain.KeySpec{Name: "a", Environment: domain.Live, Scopes: scopes}.Validate()
}

func checkMetadata(s string) {
	entries := map[string]string{}
	for i, word := range strings.Fields(s) {
		entries[fmt.Sprint(word, i)] = word
	}
	_ = domain.KeySpec{Name: "a", Environment: domain.Live, Metadata: entries}.Validate()
}

// checkLimits puts a text into every field of as many limits as are read.
func checkLimits(s string) {
	limit := domain.Limit{
		Name: s, Type: domain.Quota, Limit: domain.Allow(-1), Period: domain.Period(s), Burst: new(int64(-1)), Initial: new(int64(-1)),
		Refill: &domain.Refill{Amount: -1, Period: domain.Period(s)}, Per: domain.Per(s), TimeZone: s, Mode: domain.LimitMode(s),
	}
	_ = domain.ValidateLimits(slices.Repeat([]domain.Limit{limit}, domain.MaxLimits))
}

func checkCosts(s string) {
	cost := domain.Cost{}
	for i, word := range strings.Fields(s) {
		cost[fmt.Sprint(word, i)] = -1
	}
	_ = cost.Validate()
}

func checkTimes(s string) {
	domain.ParseTime(s)
	domain.ParseImportTime(s)
}

// checkRow puts a text into every field of an imported row.
func checkRow(s string) {
	_ = domain.ImportRow{
		Name: s, Algorithm: domain.DjangoPBKDF2SHA256, Hash: domain.Hidden(s), Prefix: s, Environment: domain.Environment(s),
		Scopes: []domain.Scope{domain.Scope(s)}, ExternalID: s, Metadata: map[string]string{s: s}, CreatedAt: domain.ParseImportTime(s),
	}.Validate()
}

func checkPassword(s string) { passwordRefused(s) }

func checkEmail(s string) { domain.NormalizeEmail(s) }

func checkName(s string) {
	var v domain.Invalid
	v.Name("/name", s)
}

// fibonacci is a string with as many periods in its prefixes as one can have.
func fibonacci(n int) string {
	a, b := "x7", "#"
	for len(b) < n {
		a, b = b, b+a
	}
	return b[:n]
}

var slugLike = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// cpuOf returns the processor time that this process spends while run runs.
func cpuOf(t *testing.T, run func()) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	began := used()
	run()
	return used() - began
}

// Guarantees that nothing that a stranger sends for a field to judge costs more than
// its length allows: the worst that fits costs six linear passes over 64 KiB by a
// regular expression, on any machine. It measures processor time, the least of many
// runs, while no other test runs.
func TestWorstInputs(t *testing.T) { //nolint:paralleltest // see above
	text := strings.Repeat("a-", 32<<10)
	for _, worst := range worstInputs {
		input := worst.input(worst.size)
		cost, pass := time.Hour, time.Hour
		for round := 0; round < 5 || cost > 6*pass && round < 50; round++ {
			pass = min(pass, cpuOf(t, func() { slugLike.MatchString(text) }))
			cost = min(cost, cpuOf(t, func() { worst.check(input) }))
		}
		if cost > 6*pass {
			t.Errorf("%s: %d bytes take %s, want at most %s", worst.name, len(input), cost, 6*pass)
		}
	}
}

// BenchmarkWorstInputs shows how the cost of each validator grows when its worst
// input doubles.
func BenchmarkWorstInputs(b *testing.B) {
	for _, worst := range worstInputs {
		for _, n := range slices.Backward([]int{worst.size, worst.size / 2}) {
			b.Run(fmt.Sprintf("%s/%d", worst.name, n), func(b *testing.B) {
				input := worst.input(n)
				b.ReportAllocs()
				for b.Loop() {
					worst.check(input)
				}
			})
		}
	}
}
