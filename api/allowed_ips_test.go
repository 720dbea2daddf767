package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a key that is bound to networks is refused from every other
// address, from one that is not known, and from one that the client only claims.
func TestBoundKeyOnOwnRoutes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trusted, peer string
		forwarded     []string
		want          int
	}{
		"from the network":              {"", "203.0.113.9:1", nil, http.StatusOK},
		"the same, as IPv6":             {"", "[::ffff:203.0.113.9]:1", nil, http.StatusOK},
		"of the other family":           {"", "[2001:db8::1]:1", nil, http.StatusOK},
		"from beside it":                {"", "203.0.114.1:1", nil, http.StatusForbidden},
		"from IPv6 beside it":           {"", "[2001:db9::1]:1", nil, http.StatusForbidden},
		"claimed by a client":           {"", "198.51.100.1:1", []string{"203.0.113.9"}, http.StatusForbidden},
		"through a proxy":               {"10.0.0.0/8", "10.0.0.1:1", []string{"203.0.113.9"}, http.StatusOK},
		"leftmost, through a proxy":     {"10.0.0.0/8", "10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1"}, http.StatusForbidden},
		"in a header of its own":        {"10.0.0.0/8", "10.0.0.1:1", []string{"203.0.113.9", "198.51.100.1"}, http.StatusForbidden},
		"rightmost, through two":        {"10.0.0.0/8", "10.0.0.1:1", []string{"1.1.1.1, 203.0.113.9, 10.0.0.2"}, http.StatusOK},
		"the proxy itself":              {"10.0.0.0/8", "10.0.0.1:1", nil, http.StatusForbidden},
		"a proxy that writes no text":   {"10.0.0.0/8", "10.0.0.1:1", []string{"unknown"}, http.StatusForbidden},
		"a socket without an address":   {"", "@", nil, http.StatusForbidden},
		"a socket that forwards":        {"", "@", []string{"203.0.113.9"}, http.StatusOK},
		"a socket that forwards others": {"", "@", []string{"203.0.113.9, 198.51.100.1"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(config *api.Config) {
				if c.trusted != "" {
					config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(c.trusted)}
				}
			})
			home := w.tenant(t, "owner")
			key := w.key(t, home.owner, home.project.ID, map[string]any{"allowed_ips": []string{"203.0.113.0/24", "2001:db8::/32"}})
			for _, path := range []string{"/v1/project", "/v1/whoami"} { // of each edge
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.RemoteAddr = c.peer
				r.Header["X-Forwarded-For"] = c.forwarded
				byKey(key.Token)(r.Header)
				got := w.send(t, r)
				if got.status != c.want || got.status == http.StatusForbidden && got.code() != domain.CodeAddressNotAllowed {
					t.Errorf("%s: got %d, want %d: %s", path, got.status, c.want, got.body)
				}
			}
		})
	}
}

// Guarantees that a verification refuses a key that is bound to networks without the
// client's address, before it looks at scopes and limits, and counts why.
func TestBoundKeyInVerifications(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	verifier := byKey(w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []string{"keys:verify"}}).Token)
	bound := w.key(t, home.owner, home.project.ID, map[string]any{
		"allowed_ips": []string{"203.0.113.0/24"}, "scopes": []string{"a:b"}, "limits": []any{map[string]any{
			"name": "once", "type": "quota", "limit": 1, "period": "year",
		}},
	})
	for _, c := range []struct {
		ip     string
		scopes []string
		want   domain.Outcome
	}{
		{"", nil, domain.OutcomeAddressNotAllowed},
		{"198.51.100.1", nil, domain.OutcomeAddressNotAllowed},
		{"198.51.100.1", []string{"c:d"}, domain.OutcomeAddressNotAllowed},
		{"203.0.113.77", []string{"c:d"}, domain.OutcomeInsufficientScope},
		{"::ffff:203.0.113.77", []string{"a:b"}, domain.OutcomeValid}, // the first that costs something
		{"203.0.113.77", []string{"a:b"}, domain.OutcomeQuotaExceeded},
	} {
		body := map[string]any{"key": bound.Token}
		if c.ip != "" {
			body["ip"] = c.ip
		}
		if c.scopes != nil {
			body["scopes"] = c.scopes
		}
		var got api.Verification
		w.call(t, http.MethodPost, "/v1/keys/verify", verifier, body).want(t, http.StatusOK, &got)
		if string(got.Code) != string(c.want) || !slices.Equal(got.Key.AllowedIPs, []domain.Network{"203.0.113.0/24"}) {
			t.Errorf("from %q: got %s of a key for %v, want %s", c.ip, got.Code, got.Key.AllowedIPs, c.want)
		}
	}
	for _, ip := range []string{"x", "203.0.113.7:80", "fe80::1%eth0", "203.0.113.7/32", " 203.0.113.7"} {
		w.call(t, http.MethodPost, "/v1/keys/verify", verifier, map[string]any{"key": bound.Token, "ip": ip}).
			fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	}
	if err := w.App.RecordUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	var usage api.UsageList
	w.call(t, http.MethodGet, home.path("/usage?interval=total&outcome=address_not_allowed"), home.owner.as, nil).
		want(t, http.StatusOK, &usage)
	if len(usage.Items) != 1 || usage.Items[0].Requests != 3 {
		t.Errorf("got %+v, want the three questions from elsewhere", usage.Items)
	}
}

// Networks are answered in one form, and what is none is refused by its place.
func TestNetworksOfAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	key := w.key(t, home.owner, home.project.ID, map[string]any{"allowed_ips": []string{
		"203.0.113.7", "203.0.113.7/32", "2001:DB8:0::/32", "::ffff:10.0.0.0/104", "0.0.0.0/0", "::1",
	}})
	if got, want := fmt.Sprint(key.Key.AllowedIPs), "[203.0.113.7/32 2001:db8::/32 10.0.0.0/8 0.0.0.0/0 ::1/128]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, bad := range []string{"", "x", "203.0.113.1/24", "2001:db8::1/32", "203.0.113.0/33", "fe80::1%eth0", "203.0.113.0-9",
		"::ffff:0:0/90", "1.2.3"} {
		got := w.call(t, http.MethodPatch, home.path("/keys/"+string(key.Key.ID)), home.owner.as, map[string]any{
			"allowed_ips": []string{"203.0.113.0/24", bad},
		}).fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
		if !strings.Contains(string(got.body), `"/allowed_ips/1"`) {
			t.Errorf("%q: %s does not name it", bad, got.body)
		}
	}
	var cleared api.Key
	w.call(t, http.MethodPatch, home.path("/keys/"+string(key.Key.ID)), home.owner.as, map[string]any{"allowed_ips": []string{}}).
		want(t, http.StatusOK, &cleared)
	if len(cleared.AllowedIPs) != 0 {
		t.Errorf("got %v after they were cleared", cleared.AllowedIPs)
	}
}

// Guarantees that a calling key that is bound to networks leaves its power over keys
// to none that may be used from elsewhere, and does not free itself. Keys for its own
// customers are not bounded.
func TestBoundKeyFreesNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "owner")
	here := []string{"192.0.2.0/24"} // from where tests call
	bound := w.key(t, home.owner, home.project.ID, map[string]any{"scopes": []domain.Scope{domain.KeysWrite, "a:b"}, "allowed_ips": here})
	create := func(scope domain.Scope, networks ...string) int {
		return w.call(t, http.MethodPost, home.path("/keys"), byKey(bound.Token), map[string]any{
			"name": "k", "scopes": []domain.Scope{scope}, "allowed_ips": append([]string{}, networks...),
		}).status
	}
	for name, c := range map[string]struct{ got, want int }{
		"keys:write from everywhere": {create(domain.KeysWrite), http.StatusForbidden},
		"keys:write from beside":     {create(domain.KeysWrite, "192.0.2.0/25", "198.51.100.1"), http.StatusForbidden},
		"keys:write from around":     {create(domain.KeysWrite, "192.0.0.0/16"), http.StatusForbidden},
		"keys:write from within":     {create(domain.KeysWrite, "192.0.2.0/25"), http.StatusCreated},
		"a customer's":               {create("a:b"), http.StatusCreated},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", name, c.got, c.want)
		}
	}
	self := home.path("/keys/" + string(bound.Key.ID))
	for name, networks := range map[string][]string{"everywhere": {}, "one more": {"192.0.2.0/24", "198.51.100.1"}} {
		got := w.call(t, http.MethodPatch, self, byKey(bound.Token), map[string]any{"allowed_ips": networks})
		if got.status != http.StatusForbidden || got.code() != domain.CodeScopeNotHeld {
			t.Errorf("itself, to %s: got %d %s", name, got.status, got.body)
		}
	}
	w.call(t, http.MethodPatch, self, byKey(bound.Token), map[string]any{"allowed_ips": []string{"192.0.2.0/28"}}).
		want(t, http.StatusOK, nil)
}
