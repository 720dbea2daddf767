package domain

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Guarantees that no answer outlives what the key in memory says of itself: at every
// moment for which an answer may be kept, Unusable still returns nothing; and that the
// deadline is the last whole second before it returns something.
func TestKeepingEndsBeforeTheKey(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 15, 9, 26, 535898000, time.UTC)
	tenant := NewTenant(Project{ID: "prj_1", Status: Active}, Organization{ID: "org_1", Status: Active}, nil)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		secret, key := plainKey()
		for _, at := range []*time.Time{&key.ExpiresAt, &secret.ValidUntil} {
			if random.IntN(3) > 0 {
				*at = now.Add(time.Duration(1+random.Int64N(1<<random.IntN(40))) * time.Microsecond)
			}
		}
		proven := NewProvenKey(string(PackKey(nil, secret, key)), tenant)
		keep := proven.Keeping(now)
		if keep.MaxAge < 0 || keep.MaxAge > LongestAnswer || keep.Ends && keep.MaxAge > keep.Deadline {
			t.Fatalf("seed %d: got %+v", seed, keep)
		}
		last := now.Add(time.Duration(keep.MaxAge) * time.Second).Add(-time.Microsecond)
		if keep.MaxAge > 0 && proven.Unusable(last) != "" {
			t.Fatalf("seed %d: an answer that is kept for %d s is wrong after %v", seed, keep.MaxAge, last.Sub(now))
		}
		if !keep.Ends {
			if code := proven.Unusable(now.AddDate(100, 0, 0)); code != "" {
				t.Fatalf("seed %d: no deadline, but %s later", seed, code)
			}
			continue
		}
		deadline := now.Add(time.Duration(keep.Deadline) * time.Second)
		if keep.Deadline > 0 && proven.Unusable(deadline.Add(-time.Microsecond)) != "" {
			t.Fatalf("seed %d: unusable before the deadline of %d s", seed, keep.Deadline)
		}
		if proven.Unusable(deadline.Add(time.Second)) == "" {
			t.Fatalf("seed %d: usable a second after the deadline of %d s", seed, keep.Deadline)
		}
	}
}

// Guarantees that each use of a key with limits is asked about, wherever its limits come
// from, and each use of a key that may be used from some networks only.
func TestKeysWithLimitsAreNotKept(t *testing.T) {
	t.Parallel()
	limit := LimitsWithDefaults([]Limit{{Name: "a", Type: RateLimit, Limit: Allow(5), Period: PeriodDay}})
	for name, of := range map[string]struct {
		own, project []Limit
		networks     []Network
		want         int64
	}{
		"none":           {nil, nil, nil, LongestAnswer},
		"its own":        {limit, nil, nil, 0},
		"of the project": {nil, limit, nil, 0},
		"none, bound":    {nil, nil, []Network{"192.0.2.0/24"}, 0},
	} {
		secret, key := plainKey()
		key.Limits, key.AllowedIPs = of.own, of.networks
		tenant := NewTenant(Project{ID: "prj_1", Status: Active, Limits: of.project}, Organization{ID: "org_1", Status: Active}, nil)
		got := NewProvenKey(string(PackKey(nil, secret, key)), tenant).Keeping(key.CreatedAt)
		if got.MaxAge != of.want {
			t.Errorf("limits: %s: got %+v, want it kept for %d s", name, got, of.want)
		}
	}
}
