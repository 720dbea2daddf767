package watch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	own   = domain.ProjectID("prj_own")
	other = domain.ProjectID("prj_other")
	org   = domain.OrganizationID("org_own")
)

// at is a position of a database on which every transaction below end has ended, other
// than those that are running.
func at(end int64, running ...int64) domain.Position {
	return domain.Position{Epoch: 1, End: end, Running: running}
}

func token(transaction int64, project domain.ProjectID, id string) domain.Note {
	return domain.Note{Stale: domain.Stale{Kind: domain.StaleToken, ID: id}, Project: project, Transaction: transaction}
}

func reset(transaction int64, object string) domain.Note {
	return domain.Note{Stale: domain.Stale{Kind: domain.StaleReset, ID: object}, Transaction: transaction}
}

// ask asks for what has changed, and waits for at most wait.
func ask(t *testing.T, w *Watch, cursor string, wait time.Duration) Answer {
	t.Helper()
	answer, err := w.Wait(t.Context(), Question{Project: own, Organization: org, Cursor: cursor, Wait: wait})
	if err != nil {
		t.Error(err)
	}
	return answer
}

func is(t *testing.T, got Answer, reset bool, changed ...domain.TokenID) {
	t.Helper()
	if got.Reset != reset || !slices.Equal(got.Changed, changed) || got.Cursor == "" {
		t.Errorf("got %+v, want reset %v and %v", got, reset, changed)
	}
}

// Guarantees that a cursor gets every change of its project that it has not had, once,
// and nothing of others; and a reset when its project or its organization has changed.
func TestChangesSinceACursor(t *testing.T) {
	t.Parallel()
	w := New()
	w.Restart(at(10), time.Now())
	first := ask(t, w, "", time.Hour)
	is(t, first, true)
	w.Advance(at(12), []domain.Note{token(10, own, "a"), token(11, other, "b"), token(10, own, "a")}, time.Now())
	second := ask(t, w, first.Cursor, time.Hour)
	is(t, second, false, "a")
	is(t, ask(t, w, second.Cursor, 0), false)
	w.Advance(at(14), []domain.Note{token(12, other, "b"), reset(13, string(other)), reset(13, "org_other")}, time.Now())
	is(t, ask(t, w, second.Cursor, 0), false)
	w.Advance(at(15), []domain.Note{reset(14, string(own))}, time.Now())
	third := ask(t, w, second.Cursor, time.Hour)
	is(t, third, true)
	w.Advance(at(16), []domain.Note{reset(15, string(org))}, time.Now())
	is(t, ask(t, w, third.Cursor, time.Hour), true)
}

// Guarantees that a transaction which runs for long hides no change that commits during
// it, returns none of them twice, and is heard when it ends.
func TestLongTransactions(t *testing.T) {
	t.Parallel()
	w := New()
	w.Restart(at(20, 10), time.Now())
	cursor := ask(t, w, "", 0).Cursor
	for end := int64(21); end < 30; end++ {
		w.Advance(at(end, 10), []domain.Note{token(end-1, own, fmt.Sprint(end))}, time.Now())
		got := ask(t, w, cursor, time.Hour)
		is(t, got, false, domain.TokenID(fmt.Sprint(end)))
		cursor = got.Cursor
		is(t, ask(t, w, cursor, 0), false)
	}
	w.Advance(at(30), []domain.Note{token(10, own, "late")}, time.Now())
	is(t, ask(t, w, cursor, time.Hour), false, "late")
}

// pass lets time go by on the clock of a bubble, which costs none.
func pass(d time.Duration) { <-time.After(d) }

// Guarantees that those who wait are woken by a change of their own project and by
// nothing else, and otherwise answer when their time is over, with a cursor that is as
// new as the node.
func TestWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New()
		w.Restart(at(10), time.Now())
		cursor := ask(t, w, "", 0).Cursor
		var answers sync.WaitGroup
		for range 3 {
			answers.Go(func() { is(t, ask(t, w, cursor, 20*time.Second), false, "a") })
		}
		began := time.Now()
		pass(time.Second)
		w.Advance(at(11), []domain.Note{token(10, other, "b")}, time.Now())
		pass(time.Second)
		w.Advance(at(12), []domain.Note{token(11, own, "a")}, time.Now())
		answers.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("answered after %v", took)
		}
		cursor = at(12).String()
		answers.Go(func() {
			got := ask(t, w, cursor, 20*time.Second)
			is(t, got, false)
			if took := time.Since(began); got.Cursor != at(13).String() || took != 22*time.Second {
				t.Errorf("got the cursor %s after %v", got.Cursor, took)
			}
		})
		pass(time.Second)
		w.Advance(at(13), []domain.Note{token(12, other, "b")}, time.Now())
		answers.Wait()
	})
}

// Guarantees that a cursor which another node gave is never answered with less: a node
// that is behind waits for its next poll. A cursor that no node gave gets a reset, at the
// price of one poll that happens anyway.
func TestCursorsAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New()
		w.Restart(at(10), time.Now())
		var answers sync.WaitGroup
		answers.Go(func() { is(t, ask(t, w, at(13, 11).String(), 0), false, "late") })
		answers.Go(func() { is(t, ask(t, w, at(1<<50).String(), time.Hour), true) })
		pass(time.Second)
		w.Advance(at(14), []domain.Note{token(10, own, "known to the other node"), token(11, own, "late")}, time.Now())
		answers.Wait()
		forged := at(13)
		forged.Epoch = 2
		for _, cursor := range []string{forged.String(), "x", at(9).String(), at(14, 9).String()} {
			is(t, ask(t, w, cursor, time.Hour), true)
		}
	})
}

// Guarantees that what is no longer known is a reset: changes of over ten minutes ago, of
// before a restart, and of a project with more changes than are kept, which costs the
// others nothing.
func TestWhatIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New()
		w.Restart(at(10), time.Now())
		old := at(10).String()
		for minute := range int64(12) {
			w.Advance(at(11+minute), []domain.Note{token(10+minute, other, "b")}, time.Now())
			pass(time.Minute)
		}
		is(t, ask(t, w, old, 0), true)
		is(t, ask(t, w, at(20).String(), 0), false)
		if got := len(w.subjects[string(other)].changes); got > 11 {
			t.Errorf("%d changes are kept", got)
		}
		early := at(22).String()
		for i := range int64(2 * mostChanges) {
			w.Advance(at(23+i), []domain.Note{token(22+i, other, fmt.Sprint(i))}, time.Now())
		}
		is(t, ask(t, w, early, 0), false)
		got, err := w.Wait(t.Context(), Question{Project: other, Organization: org, Cursor: early})
		if len(w.subjects[string(other)].changes) > mostChanges || err != nil || !got.Reset {
			t.Errorf("got %+v, %v, and %d changes kept", got, err, len(w.subjects[string(other)].changes))
		}
		now := at(23 + 2*mostChanges - 1)
		w.Restart(now, time.Now())
		is(t, ask(t, w, now.String(), 0), false)
		is(t, ask(t, w, at(now.End-1).String(), 0), true)
		w.Advance(domain.Position{Epoch: 7, End: 3}, nil, time.Now())
		is(t, ask(t, w, now.String(), 0), true)
		for range 12 {
			pass(time.Minute)
			w.Advance(domain.Position{Epoch: 7, End: 3}, nil, time.Now())
		}
		if len(w.subjects) > 0 {
			t.Errorf("%d subjects are kept of which nothing is known", len(w.subjects))
		}
	})
}

// Guarantees that a node which ends answers all who wait, that one which hears nothing
// refuses them, and that a client which leaves is not waited for.
func TestEndsOfWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New()
		w.Restart(at(10), time.Now())
		cursor := at(10).String()
		waits := func(ctx context.Context) (codes chan domain.Code) {
			codes = make(chan domain.Code, 1)
			go func() {
				_, err := w.Wait(ctx, Question{Project: own, Organization: org, Cursor: cursor, Wait: time.Hour})
				codes <- domain.CodeOf(err)
			}()
			synctest.Wait()
			return codes
		}
		lost := waits(t.Context())
		w.Lose()
		leaving, leave := context.WithCancel(t.Context())
		left := waits(leaving)
		leave()
		ended := waits(t.Context())
		w.End()
		w.End()
		late := waits(t.Context())
		got := []domain.Code{<-lost, <-left, <-ended, <-late}
		if want := []domain.Code{domain.CodeUnavailable, domain.CodeUnavailable, "", domain.CodeUnavailable}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
