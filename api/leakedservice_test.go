package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a token of a service account that is reported as leaked ends
// immediately, that its account and its other tokens stay, and that a forged one is unknown.
func TestReportLeakOfServiceToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	at := "/v1/organizations/" + string(n.organization.ID) + "/service-accounts"
	var account struct {
		ID string `json:"id"`
	}
	w.call(t, http.MethodPost, at, n.owner.as, map[string]string{"name": "terraform", "role": "admin"}).
		want(t, http.StatusCreated, &account)
	var tokens []string
	for _, name := range []string{"leaked", "kept"} {
		var made struct {
			Token string `json:"token"`
		}
		w.call(t, http.MethodPost, at+"/"+account.ID+"/tokens", n.owner.as, map[string]string{"name": name}).
			want(t, http.StatusCreated, &made)
		w.secret(made.Token)
		tokens = append(tokens, made.Token)
		w.call(t, http.MethodGet, "/v1/whoami", byUser(made.Token), nil).want(t, http.StatusOK, nil)
	}
	w.Pass(time.Second)
	since := w.Now()
	forged, err := domain.RandomToken(domain.ServiceTokenPrefix, domain.Live)
	if err != nil {
		t.Fatal(err)
	}
	report := map[string]any{"tokens": []string{tokens[0], forged.Reveal()}, "url": "https://pastebin.example.com/1"}
	if labels := w.report(t, report); !cmp.Equal(labels, []string{"true_positive", "false_positive"}) {
		t.Errorf("got %v", labels)
	}
	w.call(t, http.MethodGet, "/v1/whoami", byUser(tokens[0]), nil).fails(t, http.StatusUnauthorized, domain.CodeInvalidToken)
	w.call(t, http.MethodGet, "/v1/whoami", byUser(tokens[1]), nil).want(t, http.StatusOK, nil)
	events := w.since(t, since)
	if len(events) != 1 || events[0].Action != "service_token.leaked" || events[0].OrganizationID != n.organization.ID ||
		!cmp.Equal(events[0].Changes["url"], domain.Change{nil, "https://pastebin.example.com/1"}) {
		t.Errorf("got the events %+v", events)
	}
	if labels := w.report(t, report); labels[0] != "false_positive" {
		t.Errorf("reported again, got %v: it was deleted", labels)
	}
}
