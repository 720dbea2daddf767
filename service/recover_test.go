package service_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/journal"
)

func journaled(w *world, path string) *journal.File {
	w.Helper()
	j, err := journal.Open(path)
	w.check(err)
	return j
}

// killed returns a node with a journal that has spent n of 100 credits, and that is gone
// without having returned the rest.
func (w *world) killed(path string, n int) (p *service.Project, key domain.Key, token string) {
	w.Helper()
	p, key, token = w.limitedProject(domain.Limit{Name: "credits", Type: domain.Credits, Initial: new(int64(100))})
	j := journaled(w, path)
	node := w.Another(service.Options{Journal: j})
	if got := w.admits(node, token, n); got != n {
		w.Fatalf("got %d requests admitted, want %d", got, n)
	}
	w.check(j.Close())
	return p, key, token
}

// books are what the counter of a key's first limit has.
func (w *world) books(p *service.Project, key domain.Key) (used, leased int64) {
	w.Helper()
	shown, err := p.KeyLimits(w.Context(), key.ID)
	w.check(err)
	for _, s := range shown.Limits.States() {
		used, leased = s.Used, s.Leased
	}
	return used, leased
}

// Guarantees that a node which is killed loses no credit: when it starts again, what it
// has spent is settled to the unit, and the rest can be spent.
func TestAKilledNodeLosesNoCredit(t *testing.T) {
	onEach(t, func(w *world) {
		path := filepath.Join(w.TempDir(), "journal")
		p, key, token := w.killed(path, 7)
		if used, leased := w.books(p, key); leased == 0 || used < 7 {
			t.Fatalf("the node that was killed has nothing leased: used %d, leased %d", used, leased)
		}
		again := w.Another(service.Options{Journal: journaled(w, path)})
		if used, leased := w.books(p, key); used != 7 || leased != 0 {
			t.Errorf("got %d used and %d leased, want 7 and 0", used, leased)
		}
		if got := w.admits(again, token, 200); got != 93 {
			t.Errorf("got %d of 93 admitted after the node was killed", got)
		}
	})
}

// Guarantees that what a journal says is not believed where it may be older than the
// truth: what the node had left is forfeited, and shows in the list of entries.
func TestAJournalThatMayBeOldForfeits(t *testing.T) {
	for name, tamper := range map[string]func(*world, string){
		"a copy": func(w *world, path string) {
			text, err := os.ReadFile(path)
			w.check(err)
			w.check(os.Rename(path, path+".old"))    // so that the inode is another one
			w.check(os.WriteFile(path, text, 0o600)) //nolint:gosec // a path of the test
		},
		"of a former process": func(w *world, _ string) {
			w.exec(w.database(), "UPDATE leases SET journal = journal || '0'")
		},
		"with less than was settled": func(w *world, _ string) {
			w.exec(w.database(), "UPDATE leases SET spent = spent + 8")
			w.exec(w.database(), "UPDATE counters SET spent = spent + 8, leased = leased - 8")
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(w *world) {
				path := filepath.Join(w.TempDir(), "journal")
				p, key, token := w.killed(path, 1)
				_, left := w.books(p, key)
				tamper(w, path)
				again := w.Another(service.Options{Journal: journaled(w, path)})
				entries, err := p.ListCreditEntries(w.Context(), domain.CreditFilter{}, domain.Page{Limit: 10})
				w.check(err)
				lost := int64(0)
				for _, e := range entries.Items {
					if e.Kind == domain.EntryForfeit {
						lost -= e.Amount
					}
				}
				if lost == 0 || lost > left {
					t.Errorf("got %d forfeited, want what the node had left", lost)
				}
				if got := int64(w.admits(again, token, 200)); got+lost > 100 || got+lost < 90 {
					t.Errorf("got %d admitted and %d forfeited of 100, of which 1 was spent", got, lost)
				}
			})
		})
	}
}

// Guarantees that a node which will not come back can be forgotten, and one that reports
// cannot.
func TestANodeIsForgotten(t *testing.T) {
	onEach(t, func(w *world) {
		p, key, _ := w.killed(filepath.Join(w.TempDir(), "journal"), 7)
		gone, err := w.GoneNodes(w.Context(), domain.System())
		w.check(err)
		if len(gone) != 1 || !gone[0].Journaled || gone[0].Units == 0 {
			t.Fatalf("got %+v, want the node that was killed", gone)
		}
		_, left := w.books(p, key)
		w.Pass(48 * time.Hour)
		w.check(w.Jobs()["forfeit the leases of nodes that are gone"](w.Context()))
		if _, leased := w.books(p, key); leased != left {
			t.Errorf("after two days a node that may come back has %d leased, want %d", leased, left)
		}
		ended, err := w.ForgetNode(w.Context(), domain.System(), gone[0].ID)
		w.check(err)
		if ended.Leases != 1 || ended.Forfeited != left {
			t.Errorf("got %+v, want %d units forfeited", ended, left)
		}
		if got := w.countEvents("node.forgotten"); got != 1 {
			t.Errorf("got %d events, want 1", got)
		}
		_, err = w.ForgetNode(w.Context(), domain.System(), gone[0].ID)
		w.code(err, domain.CodeNotFound)
		nodes, err := w.Nodes(w.Context())
		w.check(err)
		for _, n := range nodes {
			_, err := w.ForgetNode(w.Context(), domain.System(), n.ID)
			w.code(err, domain.CodeConflict)
		}
		_, err = w.ForgetNode(w.Context(), domain.Principal{}, "node")
		if err == nil {
			t.Error("a stranger can forget nodes")
		}
	})
}
