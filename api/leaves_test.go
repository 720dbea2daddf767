package api_test

import (
	"context"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// leaveSample is how many statements of each database a plain run leaves.
const leaveSample = 40

// Guarantees that a client that leaves takes its work along: whichever statement of
// whichever operation is running then, its context ends, the request ends without
// waiting for it, and nothing of the request is stored. No one can leave slow
// statements behind by asking and hanging up.
func TestALeavingClientEndsItsStatement(t *testing.T) {
	t.Parallel()
	for engine, database := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newBroken(t, database(t), nil)
			all := slices.DeleteFunc(b.attempts(t), func(a attempt) bool {
				return a.kind != storetest.Refused || a.statement == "COMMIT" // which is not given up
			})
			tried := all
			if !*long {
				random := rand.New(rand.NewPCG(*faultSeed, 1))
				random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				tried = all[:min(len(all), leaveSample)]
			}
			left := 0
			for _, a := range tried {
				address, as, body := b.request(t, a.operation, a.path, a.column)
				before := b.dump.Dump(t)
				ctx, leave := context.WithCancel(t.Context())
				f := &storetest.Fault{At: a.fault, Kind: storetest.Stuck, Reached: leave}
				b.cold.ServeHTTP(httptest.NewRecorder(), b.newRequest(f.Context(ctx), t, a.method, address, as, body))
				leave()
				if !f.Hit() {
					continue // it took another way this time
				}
				if left++; !f.Left() {
					t.Errorf("%v: the statement outlived its client", a)
				}
				if diff := before.Diff(b.dump.Dump(t)); len(diff) > 0 {
					t.Errorf("%v: the database has changed: %v", a, diff)
				}
			}
			if left < len(tried)/2 {
				t.Errorf("only %d of %d statements were reached", left, len(tried))
			}
			t.Logf("seed %d: %d of %d statements", *faultSeed, left, len(all))
		})
	}
}
