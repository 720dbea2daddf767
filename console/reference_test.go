package console_test

import "testing"

// The reference at /docs renders the contract from this instance alone: nothing
// is fetched from anywhere else, and nothing breaks its content policy.
func TestReference(t *testing.T) {
	t.Parallel()
	b := newTab(t, newServer(t))
	if got := b.open("/docs"); got != 200 {
		t.Fatalf("got %d", got)
	}
	b.shows("/v1/keys/verify")
	b.shows("Authentication")
	b.waits(`performance.getEntriesByType("resource").every(e => /^(data|blob):/.test(e.name) || e.name.startsWith(location.origin + "/"))`)
	if got := b.open("/docs/errors#key_revoked"); got != 200 {
		t.Fatalf("got %d", got)
	}
	b.shows("a revoked key can only be read and deleted")
}
