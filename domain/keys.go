package domain

import (
	"slices"
	"time"
	"unicode/utf8"
)

// Key is an API key: a stable identity of a machine in one project. It contains
// neither its secret nor the digest of it, so it may be shown, logged and
// cached. Times are UTC; a zero time means never.
type Key struct {
	ID            KeyID
	ProjectID     ProjectID
	Name          string
	Prefix        string // the shown part of the current token: lk_live_<id>
	Environment   Environment
	Scopes        []Scope
	ExternalID    string
	Metadata      map[string]string
	AllowedIPs    []Network // the only addresses it may be used from, as DistinctNetworks returns them; none: all
	CreatedAt     time.Time
	CreatedBy     Actor
	ExpiresAt     time.Time
	RevokedAt     time.Time
	RevokedReason string
	LastUsedAt    time.Time
	RotatedAt     time.Time
	LeakedAt      time.Time // when its token was reported as leaked, unless it has got another since
	Retiring      Retiring
	Plan          KeyPlan
	Limits        []Limit // its own, WithDefaults; nil: none
	Revision      int64   // grows with every change made through the API, and with nothing else
}

// KeyPlan is the plan that a key refers to. The zero value means none.
type KeyPlan struct {
	ID   PlanID
	Name string
}

// Retiring is the token that a rotation replaced and that works for a while
// longer: see Live. The zero value means that there is none.
type Retiring struct {
	Prefix     string
	ValidUntil time.Time
	LastUsedAt time.Time // like that of its key, it is not kept in memory
}

// Live reports whether there is such a token and it still works at now.
func (r Retiring) Live(now time.Time) bool { return now.Before(r.ValidUntil) }

// KeyStatus is the state of a key at one moment.
type KeyStatus string

// The states of a key. Revoked wins over expired.
const (
	KeyActive  KeyStatus = "active"
	KeyExpired KeyStatus = "expired"
	KeyRevoked KeyStatus = "revoked"
)

// KeyStatuses are all of them.
var KeyStatuses = []KeyStatus{KeyActive, KeyExpired, KeyRevoked}

// Status returns the state of the key at now. A key is expired from the exact
// moment of its expiry.
func (k Key) Status(now time.Time) KeyStatus {
	switch {
	case !k.RevokedAt.IsZero():
		return KeyRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return KeyExpired
	}
	return KeyActive
}

// Outlasts reports whether k ends later than other. Either may never end.
func (k Key) Outlasts(other Key) bool {
	return !other.ExpiresAt.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(other.ExpiresAt))
}

// Holds reports whether the key has the scope.
func (k Key) Holds(s Scope) bool { return slices.Contains(k.Scopes, s) }

// Exceeds returns the scopes that k has and other does not.
func (k Key) Exceeds(other Key) []Scope {
	return slices.DeleteFunc(slices.Clone(k.Scopes), other.Holds)
}

// Widens reports whether the change from before to k lets the holder do more or
// for longer: k ends later, has another scope, acts for another external id, has
// another plan or limits that may be looser, may be used from other addresses, or
// has another token.
func (k Key) Widens(before Key) bool {
	return k.Outlasts(before) || len(k.Exceeds(before)) > 0 || k.ExternalID != before.ExternalID || k.Prefix != before.Prefix ||
		k.Plan.ID != before.Plan.ID || !tighter(k.Limits, before.Limits) || k.Outreaches(before)
}

// Outreaches reports whether k may be used from addresses that other may not be used
// from.
func (k Key) Outreaches(other Key) bool { return !within(k.AllowedIPs, other.AllowedIPs) }

// Limits on what a key may carry.
const (
	MaxNameLength        = 100      // characters
	MaxReasonLength      = 500      // characters
	MaxScopes            = 100      // entries
	MaxExternalIDLength  = 200      // characters
	MaxMetadataEntries   = 50       // entries
	MaxMetadataKeyLength = 64       // characters
	MaxMetadataBytes     = 4 * 1024 // names and values together
)

// KeySpec is what a caller can choose for a new key.
type KeySpec struct {
	Name        string
	Environment Environment // empty: Live
	Scopes      []Scope
	ExternalID  string
	Metadata    map[string]string
	ExpiresAt   time.Time
	PlanID      PlanID    `json:",omitzero"` //nolint:tagliatelle // as its neighbors; absent, so that a request of 0.1 can be repeated
	Limits      []Limit   `json:",omitzero"` //nolint:tagliatelle // the same
	AllowedIPs  []Network `json:",omitzero"` //nolint:tagliatelle // the same

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
	TokenOnce      bool   // a repeated request returns the key without its token
}

// Key returns a key with what was chosen, and nothing else.
func (s KeySpec) Key() Key {
	return Key{
		Name:        s.Name,
		Environment: s.Environment,
		Scopes:      s.Scopes,
		ExternalID:  s.ExternalID,
		Metadata:    s.Metadata,
		ExpiresAt:   s.ExpiresAt,
		Plan:        KeyPlan{ID: s.PlanID},
		Limits:      s.Limits,
		AllowedIPs:  s.AllowedIPs,
	}
}

// Validate returns validation_failed, naming every field that is wrong.
func (s KeySpec) Validate() error {
	var v Invalid
	v.key(s.Key())
	return v.Err()
}

// key checks what a caller can choose or change.
func (v *Invalid) key(k Key) {
	v.Name("/name", k.Name)
	if !k.Environment.Valid() {
		v.Add("/environment", "must be live or test")
	}
	v.scopes(k.Scopes)
	v.Text("/external_id", k.ExternalID, 0, MaxExternalIDLength)
	v.metadata(k.Metadata)
	v.moment("/expires_at", k.ExpiresAt)
	if _, err := ParseID[PlanID](string(k.Plan.ID)); err != nil && k.Plan.ID != "" {
		v.Add("/plan_id", "must be the id of a plan")
	}
	v.limits(k.Limits, PerKey)
	v.networks(k.AllowedIPs)
}

// KeyPatch is a change to a key. A nil field stays as it is.
type KeyPatch struct {
	Name       *string
	Scopes     *[]Scope
	ExternalID *string
	Metadata   *map[string]string
	ExpiresAt  *time.Time // the zero time: never
	PlanID     *PlanID    // empty: none
	Limits     *[]Limit
	AllowedIPs *[]Network
}

// Apply returns k with the patch applied, or validation_failed. A new plan has no
// name yet.
func (p KeyPatch) Apply(k Key) (Key, error) {
	given := fields{}
	set(given, "name", &k.Name, p.Name)
	set(given, "scopes", &k.Scopes, p.Scopes)
	set(given, "external_id", &k.ExternalID, p.ExternalID)
	set(given, "metadata", &k.Metadata, p.Metadata)
	set(given, "expires_at", &k.ExpiresAt, p.ExpiresAt)
	plan := k.Plan.ID
	set(given, "plan_id", &plan, p.PlanID)
	if plan != k.Plan.ID {
		k.Plan = KeyPlan{ID: plan}
	}
	set(given, "limits", &k.Limits, p.Limits)
	set(given, "allowed_ips", &k.AllowedIPs, p.AllowedIPs)
	var v Invalid
	v.key(k)
	k.Limits = LimitsWithDefaults(k.Limits)
	k.AllowedIPs = DistinctNetworks(k.AllowedIPs)
	if p.Scopes != nil {
		k.Scopes = DistinctScopes(k.Scopes)
	}
	return k, v.of(given)
}

// How long a token still works after a rotation replaced it.
const (
	DefaultGrace = 24 * time.Hour
	MaxGrace     = 30 * 24 * time.Hour
)

// Rotation is what a caller can choose when giving a key a new token.
type Rotation struct {
	Grace *time.Duration // how long the current token still works; nil: DefaultGrace

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
	TokenOnce      bool   // a repeated request returns the key without its token
}

// Validate returns validation_failed unless the grace is 0 to MaxGrace.
func (r Rotation) Validate() error {
	var v Invalid
	if r.Grace != nil && (*r.Grace < 0 || *r.Grace > MaxGrace) {
		v.Add("/grace_seconds", "must be 0 to %d", int(MaxGrace.Seconds()))
	}
	return v.Err()
}

// KeyFilter narrows a list of keys. A zero field does not narrow.
type KeyFilter struct {
	Status      KeyStatus
	Search      string // part of the name or of a prefix, in any letter case; or the whole id or external id
	Environment Environment
	ExternalID  string
	CreatedBy   string // the id of who made it: a user, a key, or "system"
	PlanID      PlanID
	Used        KeyUse

	LastUsedBefore time.Time // used, but not since

	Scope     Scope // that the key holds
	Unrevoked bool  // active or expired
}

// KeyUse says whether a key was used.
type KeyUse string

// Whether a key was used.
const (
	UsedEver  KeyUse = "ever"
	UsedNever KeyUse = "never"
)

// Validate returns validation_failed for values that no key can match, so that
// callers never mistake an unfiltered list for a filtered one.
func (f KeyFilter) Validate() error {
	var v Invalid
	if f.Status != "" && !slices.Contains(KeyStatuses, f.Status) {
		v.Add("status", "must be active, expired or revoked")
	}
	v.findable("search", f.Search)
	if f.Environment != "" && !f.Environment.Valid() {
		v.Add("environment", "must be live or test")
	}
	v.findable("external_id", f.ExternalID)
	if f.CreatedBy != "" && !f.creator() {
		v.Add("created_by", "must be the id of a user or of a key, or system")
	}
	if _, err := ParseID[PlanID](string(f.PlanID)); err != nil && f.PlanID != "" {
		v.Add("plan_id", "must be the id of a plan")
	}
	if f.Used != "" && f.Used != UsedEver && f.Used != UsedNever {
		v.Add("used", "must be ever or never")
	}
	return v.Err()
}

func (f KeyFilter) creator() bool {
	_, notUser := ParseID[UserID](f.CreatedBy)
	_, notKey := ParseID[KeyID](f.CreatedBy)
	return notUser == nil || notKey == nil || f.CreatedBy == System().Actor().ID
}

// KeyStatistics are a project's keys in numbers.
type KeyStatistics struct {
	Active, Expired, Revoked int

	// Days are the days, in UTC, on which something happened or will happen, oldest
	// first. Days without an entry had no event.
	Days []KeyDay
}

// Total returns how many keys there are.
func (s KeyStatistics) Total() int { return s.Active + s.Expired + s.Revoked }

// KeyDay counts what happened to a project's keys on one day.
type KeyDay struct {
	Day      time.Time // its beginning
	Created  int
	Revoked  int
	Expiring int // keys that are not revoked and expire on this day
}

// DistinctScopes returns each scope once, in the order of first appearance,
// which is the order in which keys keep them.
func DistinctScopes(scopes []Scope) []Scope {
	distinct := scopes[:0:0] // nil stays nil
	for _, s := range scopes {
		if !slices.Contains(distinct, s) {
			distinct = append(distinct, s)
		}
	}
	return distinct
}

func (v *Invalid) scopes(scopes []Scope) {
	if len(scopes) > MaxScopes {
		v.Add("/scopes", "must have at most %d entries", MaxScopes)
		return
	}
	for i, s := range scopes {
		if why := ValidateScope(s); why != "" {
			v.Add(pointer("scopes", i), "%s", why)
		}
	}
}

func (v *Invalid) metadata(m map[string]string) {
	total := 0
	if len(m) > MaxMetadataEntries {
		v.Add("/metadata", "must have at most %d entries and %d bytes in all", MaxMetadataEntries, MaxMetadataBytes)
		return
	}
	for name, value := range m {
		total += len(name) + len(value)
		if name == "" || utf8.RuneCountInString(name) > MaxMetadataKeyLength || !printable(name) || !printable(value) {
			v.Add("/metadata", "names must be 1 to %d characters; neither names nor values may hold NUL", MaxMetadataKeyLength)
			return
		}
	}
	if total > MaxMetadataBytes {
		v.Add("/metadata", "must have at most %d entries and %d bytes in all", MaxMetadataEntries, MaxMetadataBytes)
	}
}
