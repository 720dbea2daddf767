package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
)

// Guarantees that an operator who forgot to name the proxy in front is warned,
// once, and that no one else is.
func TestForgottenProxyIsWarnedAbout(t *testing.T) {
	t.Parallel()
	const warning = "LATCHKEY_TRUSTED_PROXIES"
	for name, test := range map[string]struct {
		trusted   string
		forwarded string
		want      int
	}{
		"no proxy is named":    {"", "203.0.113.9", 1},
		"no proxy is in front": {"", "", 0},
		"the proxy is named":   {"192.0.2.0/24", "203.0.113.9", 0},
		"a client pretends":    {"10.0.0.0/8", "203.0.113.9", 0},
	} {
		w := newWorld(t, func(c *api.Config) {
			if test.trusted != "" {
				c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(test.trusted)}
			}
		})
		for range 3 {
			r := httptest.NewRequest(http.MethodGet, "/v1/me", nil)
			if test.forwarded != "" {
				r.Header.Set("X-Forwarded-For", test.forwarded)
			}
			w.send(t, r)
		}
		if got := strings.Count(w.Logged.String(), warning); got != test.want {
			t.Errorf("%s: %d warnings, want %d", name, got, test.want)
		}
	}
}
