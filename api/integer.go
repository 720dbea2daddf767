package api

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// maxExact is the largest integer up to which a float64 holds every integer.
const maxExact = 1 << 53

// parseInteger returns the integer that a JSON number is exactly: 1000000, 1e6 and
// 1000000.0 are the same. It reports false for a number that is not an integer, even
// if a float64 would round it to one. An integer beyond maxExact is infinite. It
// takes time in proportion to the text, whatever the exponent.
func parseInteger(number []byte) (n float64, ok bool) {
	digits, negative := bytes.CutPrefix(number, []byte{'-'})
	exponent, large := 0, false
	if at := bytes.IndexAny(digits, "eE"); at >= 0 {
		var err error
		exponent, err = strconv.Atoi(string(digits[at+1:]))
		large = err != nil || exponent > math.MaxInt32 || exponent < math.MinInt32 // no body is long enough to make up for it
		digits = digits[:at]
	}
	whole, fraction, _ := strings.Cut(string(digits), ".")
	text := strings.TrimLeft(whole+fraction, "0")
	if text == "" {
		return 0, true
	}
	least := strings.TrimRight(text, "0") // the number is least × 10^zeros
	zeros := len(text) - len(least) - len(fraction)
	switch {
	case large && exponent < 0 || !large && zeros+exponent < 0:
		return 0, false
	case large || len(least)+zeros+exponent > len("9007199254740992"):
		n = math.Inf(1)
	default:
		n, _ = strconv.ParseFloat(least+strings.Repeat("0", zeros+exponent), 64) // at most 16 digits
		if n > maxExact {
			n = math.Inf(1)
		}
	}
	if negative {
		n = -n
	}
	return n, true
}
