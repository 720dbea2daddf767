package service_test

import (
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// recordedByJobs has the events that jobs in the background leave, each with
// something to do. All others leave none: they finish what an acknowledged change
// began, which has its event.
var recordedByJobs = map[string][]string{"record refusals": {"session.refused"}}

// Guarantees that the audit trail has what people and programs did and nothing that
// a node does by itself: expiry, purges, sweeps and deliveries leave no event, and a
// refused sign-in leaves its own.
func TestJobsLeaveNoEvents(t *testing.T) {
	t.Parallel()
	for engine, database := range storetest.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := prepare(t, storetest.New(t, database(t)), "")
			w.App = w.Another(service.Options{})
			b := &breaking{world: w, app: w.Another(service.Options{Mailer: &postOffice{}})}
			all := func() map[domain.EventID]string {
				actions := map[domain.EventID]string{}
				events, err := w.ListEvents(w.Context(), domain.System(), domain.EventFilter{}, domain.Page{Limit: domain.MaxPageSize})
				w.check(err)
				for _, e := range events.Items {
					actions[e.ID] = e.Action
				}
				return actions
			}
			for _, job := range b.jobs() {
				act := job.Prepare()
				before := all()
				w.check(act(w.Context()))
				w.Pass(40 * 24 * time.Hour) // by then sessions, invitations and emails have expired
				w.check(act(w.Context()))
				var got []string
				for id, action := range all() {
					if before[id] == "" {
						got = append(got, action)
					}
				}
				if want := recordedByJobs[job.Name]; !slices.Equal(slices.Compact(got), want) {
					t.Errorf("%s left %v, want %v", job.Name, got, want)
				}
			}
		})
	}
}
