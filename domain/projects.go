package domain

import (
	"crypto/rand"
	"regexp"
	"strings"
	"time"
)

// DefaultKeyPrefix starts the tokens of a project that has not chosen its own.
const DefaultKeyPrefix = "lk"

// Status is whether an organization or a project is in use. Disabling one ends
// every key below it immediately; enabling it brings them back.
type Status string

// The states of organizations and projects.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// Project belongs to one organization and owns API keys.
type Project struct {
	ID             ProjectID
	OrganizationID OrganizationID
	Name           string
	Slug           string // unique in the organization
	KeyPrefix      string // what its new tokens start with
	Status         Status
	Suspended      Suspension
	Limits         []Limit // of all its keys, WithDefaults; nil: none
	Audience       string  // whom access tokens of its keys are for; empty: its issuer
	TokenTTL       int64   // how long they live, in seconds
	TokenEpoch     int64   // grows when all of them end
	OnLeak         OnLeak  // what is done with keys whose tokens leak
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Revision       int64
}

// Usable reports whether the project allows its keys to work. The organization
// may still refuse them.
func (p Project) Usable() bool { return p.Status == Active && !p.Suspended.Active() }

// Scope returns the permission to query this project's rows. Only a loaded
// project can give it.
func (p Project) Scope() ProjectScope { return ProjectScope{p.OrganizationID, p.ID} }

// ProjectScope confines a query to one project of one organization. It cannot
// be made outside this package except from a Project, so a query for one
// tenant's rows cannot be called with another's id by mistake.
type ProjectScope struct {
	organization OrganizationID
	project      ProjectID
}

// Organization returns the tenant's id.
func (s ProjectScope) Organization() OrganizationID { return s.organization }

// Project returns the project's id.
func (s ProjectScope) Project() ProjectID { return s.project }

// ProjectSpec is what a caller can choose for a new project.
type ProjectSpec struct {
	Name      string
	Slug      string // empty: derived from the name
	KeyPrefix string // empty: the instance's default

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
}

// Validate returns validation_failed, naming every field that is wrong.
func (s ProjectSpec) Validate() error {
	var v Invalid
	v.Name("/name", s.Name)
	if s.Slug != "" {
		v.slug(s.Slug)
	}
	if why := ValidateKeyPrefix(s.KeyPrefix); s.KeyPrefix != "" && why != "" {
		v.Add("/key_prefix", "%s", why)
	}
	return v.Err()
}

// ProjectPatch is a change to a project. A nil field stays as it is.
type ProjectPatch struct {
	Name      *string
	Slug      *string
	KeyPrefix *string
	Status    *Status
	Limits    *[]Limit

	Audience   *string // empty: none
	TokenTTL   *int64
	TokenEpoch *int64
	OnLeak     *OnLeak
}

// Apply returns pr with the patch applied, or validation_failed.
func (p ProjectPatch) Apply(pr Project) (Project, error) {
	before, epoch := pr.KeyPrefix, pr.TokenEpoch
	given := fields{}
	set(given, "name", &pr.Name, p.Name)
	set(given, "slug", &pr.Slug, p.Slug)
	set(given, "key_prefix", &pr.KeyPrefix, p.KeyPrefix)
	set(given, "status", &pr.Status, p.Status)
	set(given, "limits", &pr.Limits, p.Limits)
	set(given, "audience", &pr.Audience, p.Audience)
	set(given, "token_ttl", &pr.TokenTTL, p.TokenTTL)
	set(given, "token_epoch", &pr.TokenEpoch, p.TokenEpoch)
	set(given, "on_leak", &pr.OnLeak, p.OnLeak)
	var v Invalid
	v.limits(pr.Limits)
	pr.Limits = LimitsWithDefaults(pr.Limits)
	v.Name("/name", pr.Name)
	v.slug(pr.Slug)
	v.status(pr.Status)
	if why := ValidateKeyPrefix(pr.KeyPrefix); why != "" && pr.KeyPrefix != before {
		v.Add("/key_prefix", "%s", why)
	}
	v.tokens(pr)
	v.onLeak(pr.OnLeak)
	if pr.TokenEpoch < epoch || pr.TokenEpoch > MaxTokenEpoch {
		v.Add("/token_epoch", "must be %d, which it is, to %d: it only grows", epoch, MaxTokenEpoch)
	}
	return pr, v.of(given)
}

// What a project may say about access tokens of its keys.
const (
	DefaultTokenTTL   = 300 // seconds
	MinTokenTTL       = 60
	MaxTokenTTL       = 3600
	MaxAudienceLength = 200 // characters
	MaxTokenEpoch     = 1_000_000_000
)

// audiencePattern is that of an absolute URI without a fragment (RFC 8707, section 2).
var audiencePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[!$-;=?-\[\]_a-z~]+$`)

func (v *Invalid) tokens(p Project) {
	if p.Audience != "" && (len(p.Audience) > MaxAudienceLength || !audiencePattern.MatchString(p.Audience)) {
		v.Add("/audience", "must be an absolute URI without a fragment, such as https://api.example.com, of at most %d characters",
			MaxAudienceLength)
	}
	if p.TokenTTL < MinTokenTTL || p.TokenTTL > MaxTokenTTL {
		v.Add("/token_ttl", "must be %d to %d", MinTokenTTL, MaxTokenTTL)
	}
}

// maxSlugLength is in characters; it is what a DNS label can hold.
const maxSlugLength = 63

var slugPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (v *Invalid) slug(s string) {
	if len(s) > maxSlugLength || !slugPattern.MatchString(s) {
		v.Add("/slug", "must be 1 to %d lower-case letters and digits, with single hyphens between them", maxSlugLength)
	}
}

func (v *Invalid) status(s Status) {
	if s != Active && s != Disabled {
		v.Add("/status", "must be active or disabled")
	}
}

// slugTail is the length that a derived slug leaves for a suffix, in case it is
// taken.
const slugTail = 8

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// SlugFrom derives a slug from a name: "Acme & Sons" gives acme-sons. A name
// without a usable character gives the fallback.
func SlugFrom(name, fallback string) string {
	s := notSlug.ReplaceAllString(strings.ToLower(name), "-")
	s = strings.Trim(s[:min(len(s), maxSlugLength-slugTail)], "-")
	if s == "" {
		return fallback
	}
	return s
}

// RandomSlug returns a few random characters that distinguish slugs of the same
// name.
func RandomSlug() string { return strings.ToLower(rand.Text()[:slugTail-1]) }
