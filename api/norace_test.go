//go:build !race

package api_test

const instrumented = 1
