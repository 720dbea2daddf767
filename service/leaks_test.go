package service_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a report of imported tokens computes 5 slow hashes and says so, that
// the same report gets further each time, and that it ends the keys in the end.
func TestReportLeaksOfImportedTokens(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		var leaks []domain.Leak
		for i := range 8 {
			token := fmt.Sprintf("dOwgmSH%d.leaked", i)
			w.importRows(project, made(w.T, domain.DjangoPBKDF2SHA256, token))
			leaks = append(leaks, domain.Leak{Token: domain.Hidden(token)})
		}
		from := domain.Origin{IP: "203.0.113.7"}
		_, err := w.ReportLeaks(w.Context(), from, domain.LeakReport{Leaks: leaks})
		w.code(err, domain.CodeUnavailable)
		found, err := w.ReportLeaks(w.Context(), from, domain.LeakReport{Leaks: leaks})
		w.check(err)
		keys, err := project.ListKeys(w.Context(), domain.KeyFilter{Status: domain.KeyRevoked}, domain.Page{Limit: 10})
		w.check(err)
		if got := fmt.Sprint(found); strings.Contains(got, "false") || len(keys.Items) != len(leaks) {
			w.Errorf("got %v and %d revoked keys, want all", got, len(keys.Items))
		}
	})
}

// Guarantees that many who report a token at the same time revoke its key once.
func TestReportLeakOnce(t *testing.T) {
	onEach(t, func(w *world) {
		org, project := w.tenant(w.signUp("ann@example.com"))
		_, token, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "a key"})
		w.check(err)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				leaks := []domain.Leak{{Token: domain.Hidden(token.Reveal())}}
				found, err := w.ReportLeaks(w.Context(), domain.Origin{IP: "203.0.113.7"}, domain.LeakReport{Leaks: leaks})
				if err != nil || !found[0] {
					w.Errorf("got %v, %v", found, err)
				}
			})
		}
		all.Wait()
		events, err := org.ListEvents(w.Context(), domain.EventFilter{Action: "key.leaked"}, domain.Page{Limit: 10})
		w.check(err)
		if len(events.Items) != 1 {
			w.Errorf("got %d events, want one", len(events.Items))
		}
		w.answers(map[string]domain.Code{token.Reveal(): domain.CodeKeyRevoked})
	})
}

// Guarantees that a report finds expired keys and those of a disabled project, and that
// a deleted key is unknown.
func TestReportLeakOfUnusableKeys(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		create := func(expires time.Time) (domain.Key, domain.Leak) {
			key, token, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "a key", ExpiresAt: expires})
			w.check(err)
			return key, domain.Leak{Token: domain.Hidden(token.Reveal())}
		}
		_, expired := create(w.Now().Add(-time.Hour))
		gone, deleted := create(time.Time{})
		w.check(project.DeleteKey(w.Context(), gone.ID))
		_, disabled := create(time.Time{})
		_, err := project.Update(w.Context(), domain.ProjectPatch{Status: new(domain.Disabled)})
		w.check(err)
		report := domain.LeakReport{Leaks: []domain.Leak{expired, deleted, disabled}}
		found, err := w.ReportLeaks(w.Context(), domain.Origin{IP: "203.0.113.7"}, report)
		w.check(err)
		if got, want := fmt.Sprint(found), "[true false true]"; got != want {
			w.Errorf("got %v, want %v", got, want)
		}
		keys, err := project.ListKeys(w.Context(), domain.KeyFilter{Status: domain.KeyRevoked}, domain.Page{Limit: 10})
		w.check(err)
		if len(keys.Items) != 2 {
			w.Errorf("got %d revoked keys, want 2", len(keys.Items))
		}
	})
}
