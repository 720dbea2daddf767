package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that keys which no one uses are found: those that were never used, and
// those that were used, but not lately.
func TestUnusedKeysAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	names := func(query url.Values) (names []string) {
		var list api.KeyList
		w.call(t, "GET", n.path("/keys?"+query.Encode()), n.owner.as, nil).want(t, http.StatusOK, &list)
		for _, k := range list.Items {
			names = append(names, k.Name)
		}
		slices.Sort(names)
		return names
	}
	w.key(t, n.owner, n.project.ID, map[string]any{"name": "never"})
	for _, name := range []string{"idle", "busy"} {
		key := w.key(t, n.owner, n.project.ID, map[string]any{"name": name})
		w.Pass(time.Minute)
		w.call(t, "GET", "/v1/project", byKey(key.Token), nil).want(t, http.StatusOK, nil)
	}
	w.record(t)
	now := w.Now().Format(time.RFC3339Nano)
	for _, test := range []struct {
		query url.Values
		want  []string
	}{
		{url.Values{"used": {"never"}}, []string{"never"}},
		{url.Values{"used": {"ever"}}, []string{"busy", "idle"}},
		{url.Values{"last_used_before": {now}}, []string{"idle"}},
		{url.Values{"last_used_before": {now}, "used": {"never"}}, nil},
	} {
		if got := names(test.query); !slices.Equal(got, test.want) {
			t.Errorf("%v: got %v, want %v", test.query, got, test.want)
		}
	}
	for _, bad := range []string{"used=false", "used=", "last_used_before=90d", "last_used_before=1969-12-31T23:59:59Z"} {
		w.call(t, "GET", n.path("/keys?"+bad), n.owner.as, nil).fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	}
}
