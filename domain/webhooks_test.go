package domain_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that addresses that could mean something else to another program are
// refused when a webhook is made, whatever is refused again when something is sent.
func TestWebhookAddresses(t *testing.T) {
	t.Parallel()
	long := "https://example.com/" + strings.Repeat("a", domain.MaxWebhookURL-len("https://example.com/"))
	good := []string{
		"https://example.com/webhooks", "https://example.com", "https://example.com:443/", "https://example.com:1024",
		"https://example.com:65535/?a=b", "https://93.184.216.34/", "https://[2001:db8::1]/", "https://a_b.example.com/",
		"http://127.0.0.1:8080/", long,
	}
	bad := []string{
		"", long + "a", "example.com", "ftp://example.com/", "https://", "https://user@example.com/",
		"https://:pass@example.com/", "https://example.com/#a", "https://example.com/#", "https://example.com:/",
		"https://example.com:1023/", "https://example.com:80/", "https://example.com:65536/", "https://0x7f.1/",
		"https://2130706433/", "https://127.1/", "https://example.0x1/", "https://exa mple.com/", "https://exämple.com/",
		"https://example.com\\@evil.com/", "https://-a.com/",
	}
	for _, address := range append(good, bad...) {
		err := domain.WebhookSpec{URL: address, Events: []string{domain.EveryEvent}}.Validate()
		if got := len(fields(t, err)) == 0; got != slices.Contains(good, address) {
			t.Errorf("%.60q: got %v, want it to be good: %t", address, err, !got)
		}
	}
}

// Guarantees that a subscription names events that exist, each once, or all of them.
func TestWebhookEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		events []string
		want   []string // the pointers of what is wrong
	}{
		{domain.WebhookEvents, nil},
		{[]string{"key.revoked"}, nil},
		{nil, []string{"/events"}},
		{append([]string{"key.revoked"}, domain.WebhookEvents...), []string{"/events"}},
		{[]string{"key.revoked", "key.revoked"}, []string{"/events/1"}},
		{[]string{"key.revoked", domain.EveryEvent}, []string{"/events/1"}},
		{[]string{"nothing.happened", domain.ActionTested}, []string{"/events/0", "/events/1"}},
	} {
		err := domain.WebhookSpec{URL: "https://example.com/", Events: c.events}.Validate()
		if diff := cmp.Diff(c.want, fields(t, err)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.events, diff)
		}
	}
}

// Guarantees that people pause a webhook and make it active, which forgets its failures,
// and that only Latchkey disables one.
func TestWebhookPatch(t *testing.T) {
	t.Parallel()
	failing := domain.Webhook{
		URL: "https://example.com/", Events: []string{"key.revoked"}, Status: domain.WebhookDisabled, LastSuccessAt: now, FailingSince: now,
	}
	if failing.Proven() {
		t.Error("a webhook that fails is proven")
	}
	for status, want := range map[domain.WebhookStatus][]string{
		domain.WebhookActive: nil, domain.WebhookPaused: nil, domain.WebhookDisabled: {"/status"}, "": {"/status"}, "ended": {"/status"},
	} {
		got, err := domain.WebhookPatch{Status: &status}.Apply(failing)
		if diff := cmp.Diff(want, fields(t, err)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", status, diff)
		}
		if err == nil && (got.Status != status || !got.Proven()) {
			t.Errorf("%q: got %+v, want it without failures", status, got)
		}
	}
	renamed, err := domain.WebhookPatch{URL: new("https://example.com/new")}.Apply(failing)
	if err != nil || renamed.FailingSince.IsZero() || renamed.Status != domain.WebhookDisabled || renamed.URL != "https://example.com/new" {
		t.Errorf("got %+v, %v, want only the address to be another", renamed, err)
	}
}

// Guarantees the form and the length of a secret (Standard Webhooks), and for how long
// the one before it signs, too.
func TestWebhookSecret(t *testing.T) {
	t.Parallel()
	secret, err := domain.NewWebhookSecret(bytes.NewReader(bytes.Repeat([]byte{1}, 40)))
	if want := "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="; err != nil || secret.Reveal() != want {
		t.Errorf("got %q, %v, want %q", secret.Reveal(), err, want)
	}
	if again, err := domain.WebhookSecretFrom(secret.Bytes()); err != nil || again.Reveal() != secret.Reveal() {
		t.Errorf("from its bytes: got %q, %v", again.Reveal(), err)
	}
	for _, length := range []int{0, 31, 33} {
		if _, err := domain.WebhookSecretFrom(make([]byte, length)); err == nil {
			t.Errorf("a secret of %d bytes was taken", length)
		}
	}
	if _, err := domain.NewWebhookSecret(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a secret was drawn from too little")
	}
	if (domain.WebhookSecret{}).Reveal() != "" {
		t.Error("no secret reveals something")
	}
	if domain.WebhookGrace != 24*time.Hour {
		t.Errorf("two secrets sign for %v, want the day that docs/webhooks.md promises", domain.WebhookGrace)
	}
}
