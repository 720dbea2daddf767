package main

import "testing"

// A server with little in memory rarely collects. One with much collects as often
// as Go's default, so that it uses at most twice its live memory.
func TestGarbagePercent(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 2 << 20: 400, 16 << 20: 400, 20 << 20: 300, 32 << 20: 200, 64 << 20: 100, 1 << 30: 100} {
		if got := garbagePercent(live); got != want {
			t.Errorf("%d MiB: got %d %%, want %d", live>>20, got, want)
		}
	}
}
