package service_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// outcomes are the sums of all outcomes of a project that are written.
func (w *world) outcomes(p *service.Project, q domain.UsageQuery) map[domain.Outcome]int64 {
	w.Helper()
	q.Interval, q.Until = domain.InTotal, w.Now().Add(time.Hour)
	q.Since = q.Until.AddDate(0, 0, -30)
	usage, err := p.Usage(w.Context(), q)
	w.check(err)
	sums := map[domain.Outcome]int64{}
	for _, i := range usage.Items {
		for outcome, n := range i.Outcomes {
			sums[outcome] += n
		}
	}
	return sums
}

// Guarantees that what is counted is written exactly once, for the key and for its
// project, whichever statement fails and also if only the answer to a commit is lost.
func TestCountsAreWrittenOnce(t *testing.T) {
	onEach(t, func(w *world) {
		w.Store = storetest.NewBreakable(w.T, w.DSN)
		w.App = w.Another(service.Options{})
		servicetest.Follow(w.T, w.App)
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, token, _ := w.key(project, "documents:read")
		want := map[domain.Outcome]int64{}
		use := func() {
			w.Helper()
			for range 3 {
				_, err := project.VerifyKey(w.Context(), service.Question{Token: token})
				w.check(err)
				want[domain.OutcomeValid]++
			}
			_, err := project.VerifyKey(w.Context(), service.Question{Token: token, Scopes: []domain.Scope{"documents:write"}})
			w.check(err)
			want[domain.OutcomeInsufficientScope]++
			_, err = project.VerifyKey(w.Context(), service.Question{Token: "lk_live_nothing"})
			w.check(err)
			want[domain.OutcomeNotFound]++
		}
		use()
		count := &storetest.Fault{}
		w.check(w.RecordUses(count.Context(w.Context())))
		if len(count.Seen()) < 5 {
			w.Fatalf("got %q, want the statements of a batch", count.Seen())
		}
		for _, kind := range []storetest.FaultKind{storetest.Refused, storetest.Cut, storetest.Lost} {
			hits := 0
			for at := range len(count.Seen()) {
				use()
				fault := &storetest.Fault{At: at + 1, Kind: kind}
				err := w.RecordUses(fault.Context(w.Context()))
				if fault.Hit() {
					hits++
				}
				if fault.Hit() && kind != storetest.Cut && err == nil {
					w.Errorf("%v of statement %d, and no error came of it", kind, at+1)
				}
				w.check(w.RecordUses(w.Context()))
				if got := w.outcomes(project, domain.UsageQuery{}); !maps.Equal(got, want) {
					w.Fatalf("%v of statement %d: got %v, want %v", kind, at+1, got, want)
				}
			}
			if hits == 0 || kind == storetest.Refused && hits != len(count.Seen()) {
				w.Errorf("got %d faults of the kind %v", hits, kind)
			}
		}
		ofKey := maps.Clone(want)
		delete(ofKey, domain.OutcomeNotFound)
		if got := w.outcomes(project, domain.UsageQuery{KeyID: key.ID}); !maps.Equal(got, ofKey) {
			w.Errorf("got %v for the key, want %v", got, ofKey)
		}
	})
}

// Guarantees that counts in are counts out while several nodes count and write at
// the same time, and that a node which is killed loses only what it had not
// written.
func TestCountsOfSeveralNodes(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		_, token, _ := w.key(project)
		const nodes, rounds = 3, 40
		var all sync.WaitGroup
		for range nodes {
			node := w.node()
			all.Go(func() {
				for range rounds {
					key, err := node.ProveKey(w.Context(), token, nil)
					if err != nil {
						w.Error(err)
						return
					}
					node.CountUse(key)
					if err := node.RecordUses(w.Context()); err != nil {
						w.Error(err)
					}
				}
				key, err := node.ProveKey(w.Context(), token, nil) // which is not written: the node is killed
				if err != nil {
					w.Error(err)
				}
				node.CountUse(key)
			})
		}
		all.Wait()
		want := map[domain.Outcome]int64{domain.OutcomeValid: nodes * rounds}
		if got := w.outcomes(project, domain.UsageQuery{}); !maps.Equal(got, want) {
			w.Errorf("got %v, want %v", got, want)
		}
	})
}

// Guarantees that what was used is counted for the customer that the key had then,
// also after the key has another, is rotated, revoked and deleted.
func TestUsageOutlivesItsKey(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, minted, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", ExternalID: "first"})
		w.check(err)
		token := minted.Reveal()
		verify := func() {
			w.Helper()
			_, err := project.VerifyKey(w.Context(), service.Question{Token: token})
			w.check(err)
		}
		verify()
		w.check(w.RecordUses(w.Context()))
		other := "second"
		_, err = project.UpdateKey(w.Context(), key.ID, domain.KeyPatch{ExternalID: &other})
		w.check(err)
		verify()
		_, token = w.rotate(project, key.ID, domain.Rotation{})
		verify()
		_, err = project.RevokeKey(w.Context(), key.ID, "")
		w.check(err)
		verify()
		w.check(w.RecordUses(w.Context()))
		w.check(project.DeleteKey(w.Context(), key.ID))
		for external, want := range map[string]map[domain.Outcome]int64{
			"first":  {domain.OutcomeValid: 1},
			"second": {domain.OutcomeValid: 2, domain.OutcomeRevoked: 1},
		} {
			if got := w.outcomes(project, domain.UsageQuery{ExternalID: external}); !maps.Equal(got, want) {
				w.Errorf("%s: got %v, want %v", external, got, want)
			}
		}
	})
}

// Guarantees that complete_until is not later than what a node has not written.
func TestUsageSaysHowFarItIsComplete(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		_, token, _ := w.key(project)
		begun := w.Now()
		complete := func() time.Time {
			w.Helper()
			usage, err := project.Usage(w.Context(), domain.UsageQuery{})
			w.check(err)
			return usage.CompleteUntil
		}
		w.Pass(time.Hour)
		_, err := project.VerifyKey(w.Context(), service.Question{Token: token})
		w.check(err)
		ended, end := context.WithCancel(w.Context())
		end()
		if err := w.RecordUses(ended); err == nil {
			w.Error("counts were written by a request that had ended")
		}
		if got := complete(); got.After(begun) {
			w.Errorf("got %v, want nothing after %v", got, begun)
		}
		w.check(w.RecordUses(w.Context()))
		if got := complete(); !got.Equal(w.Now()) {
			w.Errorf("got %v, want %v", got, w.Now())
		}
	})
}

// Guarantees that usage is kept for all of the days that LATCHKEY_USAGE_DAYS says and
// is gone a day later, and that minutes are kept for 48 hours.
func TestUsageIsKeptForItsDays(t *testing.T) {
	onEach(t, func(w *world) {
		const days = 5
		node := w.Another(service.Options{UsageDays: days})
		_, project := w.tenant(w.signUp("ann@example.com"))
		_, token, _ := w.key(project)
		used := w.Now()
		_, err := project.VerifyKey(w.Context(), service.Question{Token: token})
		w.check(err)
		w.check(w.RecordUses(w.Context()))
		uses := func(interval domain.UsageInterval) (n int64) {
			w.Helper()
			usage, err := project.Usage(w.Context(), domain.UsageQuery{
				Interval: interval, Since: used.Add(-time.Hour), Until: used.Add(time.Hour), Limit: 100,
			})
			w.check(err)
			for _, i := range usage.Items {
				n += i.Requests
			}
			return n
		}
		for _, step := range []struct {
			at            time.Duration // after the uses
			days, minutes int64
		}{
			{0, 1, 1},
			{48 * time.Hour, 1, 1},
			{48*time.Hour + time.Minute, 1, 0},
			{days * 24 * time.Hour, 1, 0},
			{(days + 1) * 24 * time.Hour, 0, 0},
		} {
			w.Pass(used.Add(step.at).Sub(w.Now()))
			w.check(node.Jobs()["forget usage of long ago"](w.Context()))
			if days, minutes := uses(domain.InTotal), uses(domain.PerMinute); days != step.days || minutes != step.minutes {
				w.Errorf("%v later: got %d uses by day and %d by minute, want %d and %d", step.at, days, minutes, step.days, step.minutes)
			}
		}
	})
}

// Guarantees that an export, which sums up one part of the period after the other,
// has the items of the pages.
func TestExportOfUsageHasAllItems(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		_, token, _ := w.key(project)
		for _, passed := range []time.Duration{0, time.Hour, 23 * time.Hour, 50 * time.Hour, 900 * time.Hour} {
			w.Pass(passed)
			_, err := project.VerifyKey(w.Context(), service.Question{Token: token})
			w.check(err)
			w.check(w.RecordUses(w.Context()))
		}
		for interval, want := range map[domain.UsageInterval]int{
			domain.PerHour: 5, domain.PerDay: 4, domain.PerMonth: 2, domain.InTotal: 1,
		} {
			for _, busiest := range []bool{false, true} {
				q := domain.UsageQuery{
					Since: w.Now().AddDate(0, -2, 0), Interval: interval, GroupBy: []domain.UsageGroup{domain.ByKey}, Busiest: busiest,
				}
				pages, err := project.Usage(w.Context(), q)
				w.check(err)
				export, usage, err := project.ExportUsage(w.Context(), q)
				w.check(err)
				var got []domain.UsageItem
				w.check(export.All(func(items []domain.UsageItem) error {
					got = append(got, items...)
					return nil
				}))
				if diff := cmp.Diff(pages.Items, got); diff != "" || len(got) != want || !usage.CompleteUntil.Equal(w.Now()) {
					w.Errorf("%s, busiest %v: got %d items, complete until %v; %s", interval, busiest, len(got), usage.CompleteUntil, diff)
				}
			}
		}
	})
}
