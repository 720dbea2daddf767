package service_test

import (
	"database/sql"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// bill returns what each customer has used in closed hours, as docs/usage.md says to
// ask for it.
func (w *world) bill(p *service.Project, since, until time.Time) map[string]int64 {
	w.Helper()
	usage, err := p.Usage(w.Context(), domain.UsageQuery{
		Interval: domain.PerHour, Since: since, Until: until, GroupBy: []domain.UsageGroup{domain.ByExternalID},
		Outcome: domain.OutcomeValid, Limit: domain.MaxPageSize,
	})
	w.check(err)
	if usage.CompleteUntil.Before(until) {
		w.Errorf("the usage is complete until %v, and the bill is about %v", usage.CompleteUntil, until)
	}
	bill := map[string]int64{}
	for _, i := range usage.Items {
		bill[i.Groups[0]] += i.Requests
	}
	return bill
}

// billFromRows returns the same from the rows, by SQL that no part of the product has
// written. The period is the first two hours of a day.
func (w *world) billFromRows(p *service.Project, day time.Time) map[string]int64 {
	w.Helper()
	project, err := p.Get()
	w.check(err)
	driver, address := "pgx", w.DSN
	if path, ok := strings.CutPrefix(w.DSN, "sqlite:"); ok {
		driver, address = "latchkey-sqlite", "file:"+path
	}
	db, err := sql.Open(driver, address)
	w.check(err)
	defer db.Close()
	rows, err := db.QueryContext(w.Context(), `SELECT external_id, SUM(COALESCE(h00, 0) + COALESCE(h01, 0)) FROM usage_days
		WHERE project_id = $1 AND subject LIKE 'key%' AND measure = 'valid' AND day = $2 GROUP BY external_id`,
		string(project.ID), day.UnixMicro())
	w.check(err)
	defer rows.Close()
	bill := map[string]int64{}
	for rows.Next() {
		var customer string
		var n int64
		w.check(rows.Scan(&customer, &n))
		bill[customer] = n
	}
	w.check(rows.Err())
	return bill
}

// Guarantees that a bill of closed hours is the same when it is computed again, by the
// API and from the rows: after nodes were killed, answers of the database were lost,
// keys got another customer, and were deleted.
func TestABillIsTheSameTwice(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		token := func(customer string) (domain.KeyID, string) {
			key, token, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", ExternalID: customer})
			w.check(err)
			return key.ID, token.Reveal()
		}
		moved, one := token("globex")
		deleted, two := token("initech")
		_, three := token("initech")
		other := w.Another(service.Options{Store: storetest.NewBreakable(w.T, w.DSN)})
		use := func(node *service.App, token string, times int) {
			w.Helper()
			for range times {
				key, err := node.ProveKey(w.Context(), token, nil)
				w.check(err)
				node.CountUse(key)
			}
		}
		day := w.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
		w.Pass(day.Sub(w.Now()))
		want := map[string]int64{"globex": 7, "initech": 9}
		use(w.App, one, 3)
		use(other, one, 4)
		use(other, two, 2)
		w.check(w.App.RecordUses(w.Context()))
		w.check(other.RecordUses(w.Context()))
		w.Pass(time.Hour)
		use(w.App, two, 1)
		w.check(w.App.RecordUses(w.Context()))
		for at := range 6 { // an answer of the database is lost each time, and the batch is sent again
			use(other, three, 1)
			lost := &storetest.Fault{At: at + 1, Kind: storetest.Lost}
			_ = other.RecordUses(lost.Context(w.Context()))
			w.check(other.RecordUses(w.Context()))
		}
		w.Pass(time.Hour)
		w.check(w.App.RecordUses(w.Context()))
		w.check(other.RecordUses(w.Context()))
		until := day.Add(2 * time.Hour)
		first := w.bill(project, day, until)

		// The hours after it have nodes that are killed with what they have counted.
		for range 3 {
			killed := w.Another(service.Options{})
			use(killed, one, 5)
			w.check(killed.RecordUses(w.Context()))
			use(killed, three, 5)
		}
		_, err := project.UpdateKey(w.Context(), moved, domain.KeyPatch{ExternalID: new("umbrella")})
		w.check(err)
		w.check(project.DeleteKey(w.Context(), deleted))
		use(w.App, three, 8)
		w.check(w.App.RecordUses(w.Context()))
		for name, got := range map[string]map[string]int64{
			"first": first, "again": w.bill(project, day, until), "from the rows": w.billFromRows(project, day),
		} {
			if !maps.Equal(got, want) {
				w.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	})
}
