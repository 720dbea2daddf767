package service_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that a project with very many keys ends with the answer to the
// request, that no transaction holds others up for all of them, and that a crash
// amid their removal leaves the project refused and the rest for the next start.
func TestDeletedLargeProject(t *testing.T) {
	t.Parallel()
	for name, dsn := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := dsn(t)
			w := prepare(t, storetest.New(t, address), address)
			w.App = w.Another(service.Options{})
			ann := w.signUp("ann@example.com")
			_, project := w.tenant(ann)
			key, token, _ := w.key(project)
			at := w.projectID(project)
			const keys = 20_000
			rows := make([]domain.ImportRow, keys)
			for i := range rows {
				rows[i] = made(t, domain.SHA256Hex, fmt.Sprint("token number ", i))
			}
			if got := w.importRows(project, rows...).Imported; got != keys {
				t.Fatalf("got %d keys imported, want %d", got, keys)
			}
			count := func() int {
				n, err := w.CountKeys(w.Context(), domain.System())
				w.check(err)
				return n
			}
			refused := func(app *service.App) {
				w.Helper()
				_, err := app.ProveKey(w.Context(), token, nil)
				w.code(err, domain.CodeInvalidAPIKey)
				_, err = app.ProveKey(w.Context(), "token number 19999", nil)
				w.code(err, domain.CodeInvalidAPIKey)
				_, err = app.Project(w.Context(), ann, at)
				w.code(err, domain.CodeNotFound)
				_, err = app.ProjectOfKey(w.Context(), domain.System(), key.ID)
				w.code(err, domain.CodeNotFound)
			}
			feed, err := w.Store.Feed(w.Context())
			w.check(err)
			defer func() { w.check(feed.Close()) }()
			w.check(project.Delete(w.Context()))
			if got, want := count(), keys+1; got != want {
				t.Errorf("the request removed %d keys itself", want-got)
			}
			refused(w.App)

			// It crashes amid the removal.
			for range 3 {
				if _, err := w.Store.PurgeProjects(w.Context(), 500); err != nil {
					t.Fatal(err)
				}
			}
			app := w.node()
			refused(app)
			ctx, stop := context.WithCancel(w.Context())
			var running sync.WaitGroup
			running.Go(func() { app.Run(ctx) })
			defer running.Wait()
			defer stop()
			left := keys
			for deadline := time.Now().Add(5 * time.Minute); left > 0; left = count() {
				if time.Now().After(deadline) {
					t.Fatalf("%d keys are still there", left)
				}
				<-time.After(20 * time.Millisecond) // counting takes turns from the removal
			}
			refused(app)
			notes, err := feed.Poll(w.Context())
			w.check(err)
			if len(notes) > 100 {
				t.Errorf("got %d stale notes: what goes with its project needs none", len(notes))
			}
		})
	}
}
