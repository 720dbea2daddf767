package bench

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/cmd/latchkey/servertest"
	"github.com/latchkey-dev/latchkey/console"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// TestUsagePages loads a month of use, 40 million requests by 1,000 keys of 100
// customers, and measures every page of the console that shows it.
func TestUsagePages(t *testing.T) {
	for name, open := range map[string]func(testing.TB) string{
		"SQLite":     storetest.SQLite,
		"PostgreSQL": func(t testing.TB) string { return storetest.NewCluster(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			store := storetest.New(t, open(t))
			app := newApp(t, store)
			project, cookie := newProject(t, app)
			p, err := project.Get()
			must(t, err)
			keys, requests := fillMonth(t, store, project)
			pages, err := console.Handler(app, console.Config{PublicURL: "http://localhost", Log: slog.New(slog.DiscardHandler)})
			must(t, err)
			base := "/console/projects/" + string(p.ID)
			for what, path := range map[string]string{
				"overview of the project":     base,
				"list of keys, sparklines":    base + "/keys",
				"page of a key":               base + "/keys/" + string(keys[0]),
				"usage of 24 hours":           base + "/usage?period=24h",
				"usage of 7 days":             base + "/usage?period=7d",
				"usage of 30 days":            base + "/usage",
				"usage of 12 months":          base + "/usage?period=12m",
				"usage of a key, 7 days":      base + "/usage?period=7d&key=" + string(keys[0]),
				"usage of a customer, 7 days": base + "/usage?period=7d&external_id=customer-7",
			} {
				took := quickest(t, pages, path, cookie)
				add(row{
					what:  what + ", " + name,
					got:   took.Round(100 * time.Microsecond).String(),
					goal:  "60ms",
					note:  fmt.Sprintf("least of ten; %d keys, %d requests in 30 days", len(keys), requests),
					ratio: fmt.Sprintf("%.2f", took.Seconds()/0.060),
				})
			}
		})
	}
}

// quickest returns the least time that a page took.
func quickest(t *testing.T, pages http.Handler, path, cookie string) time.Duration {
	t.Helper()
	least := time.Hour
	for range servertest.Size(1, 10) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, http.NoBody)
		r.AddCookie(&http.Cookie{Name: "latchkey_session", Value: cookie})
		w, began := httptest.NewRecorder(), time.Now()
		pages.ServeHTTP(w, r)
		least = min(least, time.Since(began))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: got %d", path, w.Code)
		}
	}
	return least
}

// fillMonth writes the use of 30 days, hour by hour, as a node would have. A tenth of
// the keys has most of it.
func fillMonth(t *testing.T, store *repository.Store, project *service.Project) (keys []domain.KeyID, requests int64) {
	t.Helper()
	p, err := project.Get()
	must(t, err)
	var counts []domain.UsageCount
	most := map[domain.Outcome]int64{domain.OutcomeValid: 20, domain.OutcomeRateLimited: 2, domain.OutcomeExpired: 1}
	for i := range servertest.Size(20, 1000) {
		customer := fmt.Sprint("customer-", i%100)
		key, _, err := project.CreateKey(t.Context(), domain.KeySpec{Name: fmt.Sprint("key ", i), ExternalID: customer})
		must(t, err)
		keys = append(keys, key.ID)
		for outcome, most := range most {
			if i%10 == 0 {
				most *= 15
			}
			counts = append(counts, domain.UsageCount{
				OrganizationID: p.OrganizationID,
				ProjectID:      p.ID,
				KeyID:          key.ID,
				ExternalID:     customer,
				Environment:    domain.Live,
				Outcome:        outcome,
				Count:          most,
			})
		}
	}
	const hours = 30 * 24
	began := time.Now().Add(-hours * time.Hour)
	for hour := range hours {
		batch := domain.UsageBatch{NodeID: "a", Number: int64(hour + 1), At: began.Add(time.Duration(hour) * time.Hour)}
		for _, c := range counts {
			c.Count = rand.Int64N(2*c.Count + 1)
			batch.Counts, requests = append(batch.Counts, c), requests+c.Count
		}
		must(t, store.RecordUsage(t.Context(), batch))
	}
	return keys, requests
}
