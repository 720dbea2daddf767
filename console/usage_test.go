package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// get returns the page at a path, as the person sees it.
func (p person) get(t *testing.T, path string) string {
	t.Helper()
	got := p.send(t, http.MethodGet, path, nil, nil)
	if got.Status != http.StatusOK {
		t.Fatalf("%s: got %d, want 200: %s", path, got.Status, got.Body)
	}
	return got.Body
}

// The pages about usage show what was counted, as a picture with a table beside it,
// and the same numbers as CSV.
func TestUsagePages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.signUp(t, "ann@example.com")
	_, project, p := ann.project(t, "Acme", "Documents API")
	base := "/console/projects/" + string(project.ID)
	if page := ann.get(t, base+"/usage"); !strings.Contains(page, "No requests in the last 30 days") {
		t.Error("the page of an unused project does not say so")
	}
	key, token, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "billing", ExternalID: "=globex"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := p.VerifyKey(t.Context(), service.Question{Token: token.Reveal()}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.VerifyKey(t.Context(), service.Question{Token: token.Reveal(), Scopes: []domain.Scope{"documents:read"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.App.RecordUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, wants := range map[string][]string{
		base:                                  {"Busiest keys", "billing", "3 valid", "The same as a table"},
		base + "/keys":                        {"4 requests in 30 days"},
		base + "/keys/" + string(key.ID):      {"3 valid", "1 refused", "The same as a table"},
		base + "/usage":                       {"4 requests", "Busiest keys, last 24 hours", "Customers, last 24 hours", "=globex", "busiest=all", "Complete until"},
		base + "/usage?busiest=all":           {"4 requests", "Busiest keys, last 30 days", "Customers, last 30 days", "=globex"},
		base + "/usage?period=24h":            {"4 requests"},
		base + "/usage?period=12m":            {"4 requests"},
		base + "/usage?external_id=initech":   {"No requests", "Only the customer"},
		base + "/usage?key=" + string(key.ID): {"4 requests", "Only the key"},
		base + "/usage/export?period=30d":     {"start,requests,valid", ",4,3,"},
	} {
		page := ann.get(t, path)
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
}
