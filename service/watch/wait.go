package watch

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Answer is what has changed since a cursor.
type Answer struct {
	Cursor  string
	Changed []domain.TokenID
	Reset   bool // forget everything that was kept
}

// Question is what someone waits for.
type Question struct {
	Project      domain.ProjectID
	Organization domain.OrganizationID
	Cursor       string
	Wait         time.Duration
}

// Wait returns what has changed since the cursor, as soon as something has or the time
// is over. It returns unavailable if the changes can no longer be heard, or if this node
// ends and can start no wait.
//
// A cursor that is ahead of this node was given by another one. This node waits for its
// next poll before it answers: it then knows at least as much, or the cursor is not of this
// database, and gets a reset.
func (w *Watch) Wait(ctx context.Context, q Question) (Answer, error) {
	arrived := time.Now()
	cursor, ok := domain.ParsePosition(q.Cursor)
	timer := time.NewTimer(q.Wait)
	defer timer.Stop()
	w.waits(1)
	defer w.waits(-1)
	for over := q.Wait <= 0; ; {
		w.mu.Lock()
		position, behind, lost := w.position, w.isBehind(cursor, arrived), w.lost
		var answer Answer
		if !ok || cursor.Epoch != position.Epoch {
			answer = Answer{Reset: true}
		} else if !behind {
			answer = w.since(cursor, q)
		}
		project, organization := w.subject(string(q.Project)).wait(), w.subject(string(q.Organization)).wait()
		ended, polled := w.ended, w.polled
		ending := w.ending
		w.mu.Unlock()

		answer.Cursor = position.String()
		switch {
		case answer.Reset || len(answer.Changed) > 0, over && !behind:
			return answer, nil
		case ending:
			return Answer{}, domain.Unavailable(errors.New("the process is ending"))
		case behind:
			project, ended = polled, nil
		}
		select {
		case <-project:
		case <-organization:
		case <-timer.C:
			over = true
		case <-ended:
			over = true
		case <-lost:
			return Answer{}, domain.Unavailable(errors.New("changes are not heard any more"))
		case <-ctx.Done():
			return Answer{}, domain.Unavailable(ctx.Err())
		}
	}
}

// isBehind reports whether a cursor may have what this node has not read yet. A poll
// that began after the cursor arrived has read all of it.
func (w *Watch) isBehind(cursor domain.Position, arrived time.Time) bool {
	return cursor.Epoch == w.position.Epoch && !w.position.Covers(cursor) && !w.started.After(arrived)
}

// since returns what is not in the cursor.
func (w *Watch) since(cursor domain.Position, q Question) (a Answer) {
	if !w.position.Covers(cursor) || !cursor.Covers(w.floor) {
		return Answer{Reset: true}
	}
	said := map[domain.TokenID]bool{}
	for _, id := range []string{string(q.Project), string(q.Organization)} {
		s := w.subjects[id]
		if s == nil {
			continue
		}
		if !s.floor.IsZero() && !cursor.Covers(s.floor) {
			return Answer{Reset: true}
		}
		for _, c := range s.changes {
			switch {
			case cursor.Has(c.transaction):
			case c.token == "":
				return Answer{Reset: true}
			case !said[c.token]:
				said[c.token] = true
				a.Changed = append(a.Changed, c.token)
			}
		}
	}
	return a
}
