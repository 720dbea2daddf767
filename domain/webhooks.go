package domain

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of webhooks.
const (
	MaxWebhooks         = 10   // of a project
	MaxWebhookURL       = 2048 // bytes
	WebhookGrace        = 24 * time.Hour
	WebhookSecretLength = 32 // bytes
)

// EveryEvent is the subscription to all events of a project, except those about its
// webhooks.
const EveryEvent = "*"

// WebhookEvents are the names of events that webhooks can be subscribed to.
var WebhookEvents = []string{
	"key.created", "key.updated", "key.rotated", "key.revoked", "key.deleted", "keys.imported",
	"key.leaked",
	ActionReached, "limit.reset", "limit.given_back", "credits.granted", "credits.refunded",
	"plan.created", "plan.updated", "plan.deleted",
	"project.updated", "project.suspended", "project.resumed",
}

// ActionTested is the event by which a webhook is tried. Only that webhook gets it.
const ActionTested = "webhook.tested"

// WebhookStatus is whether a webhook is sent anything.
type WebhookStatus string

// The states of webhooks.
const (
	WebhookActive   WebhookStatus = "active"
	WebhookPaused   WebhookStatus = "paused"   // by a person
	WebhookDisabled WebhookStatus = "disabled" // by Latchkey: the receiver wants nothing more, or has failed for days
)

// Webhook is a subscription of an address to the audit trail of a project.
type Webhook struct {
	ID             WebhookID
	OrganizationID OrganizationID
	ProjectID      ProjectID
	URL            string
	Events         []string // names of events, or EveryEvent alone
	Status         WebhookStatus
	Sealed         Digest    // the secret by which receivers verify, sealed
	Previous       Digest    // the one before it, sealed; nil: none
	PreviousUntil  time.Time // until when what is sent is signed by both
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LastSuccessAt  time.Time // to about a minute; zero: never
	FailingSince   time.Time // of the first failure after the last success; zero: it does not fail
	Revision       int64
}

// Proven reports whether the last delivery of the webhook was a success.
func (w Webhook) Proven() bool { return !w.LastSuccessAt.IsZero() && w.FailingSince.IsZero() }

// WebhookSpec is what a caller can choose for a new webhook.
type WebhookSpec struct {
	URL    string
	Events []string

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
}

// Validate returns validation_failed, naming every field that is wrong.
func (s WebhookSpec) Validate() error {
	var v Invalid
	v.webhookURL(s.URL)
	v.webhookEvents(s.Events)
	return v.Err()
}

// WebhookPatch is a change to a webhook. A nil field stays as it is.
type WebhookPatch struct {
	URL    *string
	Events *[]string
	Status *WebhookStatus
}

// Apply returns w with the patch applied, or validation_failed. What is made active
// begins without failures.
func (p WebhookPatch) Apply(w Webhook) (Webhook, error) {
	given := fields{}
	set(given, "url", &w.URL, p.URL)
	set(given, "events", &w.Events, p.Events)
	if p.Status != nil && *p.Status != w.Status {
		w.FailingSince = time.Time{}
	}
	set(given, "status", &w.Status, p.Status)
	var v Invalid
	v.webhookURL(w.URL)
	v.webhookEvents(w.Events)
	if p.Status != nil && w.Status != WebhookActive && w.Status != WebhookPaused {
		v.Add("/status", "must be %s or %s", WebhookActive, WebhookPaused)
	}
	return w, v.of(given)
}

// hostPattern is that of a name of DNS, in ASCII. A last label of digits, also of
// hexadecimal ones, is no name: some programs take it for an IPv4 address (WHATWG URL,
// section 3.5).
var (
	hostPattern  = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?$`)
	endsInNumber = regexp.MustCompile(`(^|\.)(0[xX][0-9A-Fa-f]*|[0-9]+)\.?$`)
)

// webhookURL checks the form of an address. Whether anything may be sent there is asked
// whenever something is sent.
func (v *Invalid) webhookURL(s string) {
	if why := webhookURLFault(s); why != "" {
		v.Add("/url", "%s", why)
	}
}

func webhookURLFault(s string) string {
	if s == "" || len(s) > MaxWebhookURL {
		return fmt.Sprintf("must be 1 to %d characters", MaxWebhookURL)
	}
	u, err := url.Parse(s)
	if err != nil || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return "must be an address such as https://example.com/webhooks, in ASCII"
	}
	host, port := u.Hostname(), u.Port()
	_, notIP := netip.ParseAddr(host)
	switch number, err := strconv.ParseUint(port, 10, 16); {
	case u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https://"
	case u.User != nil:
		return "must contain no name or password; receivers verify the signature"
	case strings.Contains(s, "#"):
		return "must have no fragment"
	case notIP != nil && (!hostPattern.MatchString(host) || endsInNumber.MatchString(host)):
		return "must have a name of DNS or an IP address as its host"
	case port == "" && strings.HasSuffix(u.Host, ":"), port != "" && (err != nil || number != 443 && number < 1024):
		return "must use port 443, or one from 1024 on"
	}
	return ""
}

func (v *Invalid) webhookEvents(events []string) {
	if most := len(WebhookEvents); len(events) == 0 || len(events) > most {
		v.Add("/events", "must have 1 to %d entries", most)
		return
	}
	for i, name := range events {
		switch {
		case name == EveryEvent && len(events) > 1:
			v.Add(pointer("events", i), "must be the only entry")
		case name != EveryEvent && !slices.Contains(WebhookEvents, name):
			v.Add(pointer("events", i), "is not the name of an event; see docs/webhooks.md")
		case slices.Contains(events[:i], name):
			v.Add(pointer("events", i), "is there already")
		}
	}
}

// webhookSecretPrefix begins a secret as Standard Webhooks has it.
const webhookSecretPrefix = "whsec_"

// WebhookSecret is the secret of a webhook. It is printed by Reveal only.
type WebhookSecret struct{ raw *[WebhookSecretLength]byte }

// NewWebhookSecret draws a secret.
func NewWebhookSecret(random io.Reader) (WebhookSecret, error) {
	raw := new([WebhookSecretLength]byte)
	_, err := io.ReadFull(random, raw[:])
	return WebhookSecret{raw}, err
}

// WebhookSecretFrom returns a secret from its bytes.
func WebhookSecretFrom(raw []byte) (WebhookSecret, error) {
	if len(raw) != WebhookSecretLength {
		return WebhookSecret{}, fmt.Errorf("a webhook's secret has %d bytes", WebhookSecretLength)
	}
	return WebhookSecret{(*[WebhookSecretLength]byte)(raw)}, nil
}

// Bytes returns the key of the signatures.
func (s WebhookSecret) Bytes() []byte { return s.raw[:] }

// Reveal returns the secret as receivers keep it; empty if there is none.
func (s WebhookSecret) Reveal() string {
	if s.raw == nil {
		return ""
	}
	return webhookSecretPrefix + base64.StdEncoding.EncodeToString(s.raw[:])
}
