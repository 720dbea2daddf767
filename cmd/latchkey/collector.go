package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage may collect: as much as the live memory, or spareGarbage if
// that is more, but at most mostGarbage percent of the live memory. So a server with
// few keys in memory rarely collects, and one with a million uses no more memory
// than with Go's default.
const (
	spareGarbage      = 64 << 20 // bytes
	leastGarbage      = 100      // percent, which is Go's own default
	mostGarbage       = 400      // percent; beyond it, cache misses cost more than is saved
	tuneCollectorTime = 10 * time.Second
)

// tuneCollector keeps the garbage collector's percentage within the constants
// until ctx ends. It does nothing when GOGC is set.
func tuneCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(tuneCollectorTime)
	defer tick.Stop()
	now := 0
	for {
		metrics.Read(live)
		if want := garbagePercent(live[0].Value.Uint64()); want != now {
			debug.SetGCPercent(want)
			now = want
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// garbagePercent returns a multiple of a step, so that the percentage rarely
// changes: each change stops the world for a moment.
func garbagePercent(live uint64) int {
	const step = 50
	percent := int(min(spareGarbage*100/max(live, 1), mostGarbage))
	return max(percent/step*step, leastGarbage)
}
