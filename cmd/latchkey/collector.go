package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage may pile up: as much again as lives, or spareGarbage if that
// is more, but no more than so many per cent of what lives. A server with few
// keys in memory so collects seldom, and one with a million takes no more memory
// than it would anyway.
const (
	spareGarbage      = 64 << 20 // bytes
	leastGarbage      = 100      // per cent, which is Go's own default
	mostGarbage       = 400      // per cent; beyond it, memory that is no longer in the processor's caches costs what is saved
	tuneCollectorTime = 10 * time.Second
)

// tuneCollector keeps the garbage collector's percentage where the constants
// want it until ctx ends. Whoever sets GOGC has decided otherwise.
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

// garbagePercent is in steps, so that it is seldom changed, which stops the
// world for a moment.
func garbagePercent(live uint64) int {
	const step = 50
	percent := int(min(spareGarbage*100/max(live, 1), mostGarbage))
	return max(percent/step*step, leastGarbage)
}
