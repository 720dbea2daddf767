//go:build race

package api_test

// instrumented is how many times as slow the race detector makes code that is
// not written in assembly, as the hash that the law of cost is scaled by is.
const instrumented = 6
