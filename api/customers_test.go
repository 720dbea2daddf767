package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
)

// Customers are listed in pages, each with its keys, whatever characters its external id
// has, and what is no cursor of the list is refused.
func TestCustomers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	longest := strings.Repeat("𝄞", 200)
	for _, id := range []string{"c1", "c1", "a/b ü", longest} {
		w.key(t, n.owner, n.project.ID, map[string]any{"external_id": id})
	}
	w.key(t, n.owner, n.project.ID, nil)

	got, address, pages := map[string]string{}, n.path("/customers?limit=1"), 0
	for ; address != "" && pages < 10; pages++ {
		var page api.CustomerList
		answer := w.call(t, "GET", address, n.owner.as, nil).want(t, http.StatusOK, &page)
		for _, c := range page.Items {
			got[c.ExternalID] = fmt.Sprint(c.Keys, c.ActiveKeys, c.LastUsedAt.IsNull())
		}
		address = ""
		if next, err := page.NextCursor.Get(); err == nil {
			address = n.path("/customers?limit=1&cursor=" + url.QueryEscape(next))
			if !strings.Contains(answer.header.Get("Link"), next) {
				t.Errorf("Link %q lacks the cursor %q", answer.header.Get("Link"), next)
			}
		}
	}
	want := map[string]string{"c1": "2 2 true", "a/b ü": "1 1 true", longest: "1 1 true"}
	if diff := cmp.Diff(want, got); diff != "" || pages != len(want) {
		t.Errorf("got %d pages, want %d: %s", pages, len(want), diff)
	}
	for _, cursor := range []string{"!", "YQ==", "AA", strings.Repeat("YWFh", 700)} {
		w.call(t, "GET", n.path("/customers?cursor="+url.QueryEscape(cursor)), n.owner.as, nil).want(t, http.StatusUnprocessableEntity, nil)
	}
}
