package domain_test

import (
	"fmt"
	"slices"
	"strings"
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

// Guarantees that no password, address or name that a stranger sends costs more
// than its length allows: the worst that fits is judged in milliseconds.
func TestWorstInputs(t *testing.T) {
	t.Parallel()
	for _, worst := range worstInputs {
		input, best := worst.input(worst.size), time.Hour
		for range 5 {
			started := time.Now()
			worst.check(input)
			best = min(best, time.Since(started))
		}
		if best > 5*time.Millisecond {
			t.Errorf("%s: %d bytes take %s, want at most 5 ms", worst.name, len(input), best)
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
