package domain

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// The identifiers of Latchkey's objects. Each is a TypeID: a short kind, an
// underscore and a UUIDv7 (RFC 9562) in 26 characters of Crockford base32, so
// that ids sort by creation time and can never be mistaken for another kind.
type (
	// UserID names a person: usr_….
	UserID string
	// OrganizationID names a tenant: org_….
	OrganizationID string
	// ProjectID names a project: prj_….
	ProjectID string
	// KeyID names an API key, for its whole life and across rotations: key_….
	KeyID string
	// SessionID names one signed-in device of a user: ses_….
	SessionID string
	// InvitationID names an invitation to an organization: inv_….
	InvitationID string
	// EventID names an audit event: evt_….
	EventID string
	// PlanID names a set of limits of a project: pln_….
	PlanID string
	// CreditEntryID names a change of credits: cre_….
	CreditEntryID string
	// WebhookID names a subscription to the audit trail of a project: whk_….
	WebhookID string
)

// ID is any of the identifier types.
type ID interface {
	~string
	kind() string
}

func (UserID) kind() string         { return "usr" }
func (OrganizationID) kind() string { return "org" }
func (ProjectID) kind() string      { return "prj" }
func (KeyID) kind() string          { return "key" }
func (SessionID) kind() string      { return "ses" }
func (InvitationID) kind() string   { return "inv" }
func (EventID) kind() string        { return "evt" }
func (PlanID) kind() string         { return "pln" }
func (CreditEntryID) kind() string  { return "cre" }
func (WebhookID) kind() string      { return "whk" }

// crockfordAlphabet is Crockford's alphabet in lower case, as TypeID uses it:
// without i, l, o and u.
const crockfordAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var crockford = base32.NewEncoding(crockfordAlphabet).WithPadding(base32.NoPadding)

// NewID returns a new identifier that sorts by now, to the millisecond.
func NewID[T ID](now time.Time) T {
	// 130 bits are needed for 26 characters: the UUID goes behind two zero bits,
	// here as the last 26 of 32 characters over 20 bytes whose first 4 are zero.
	var padded [20]byte
	uuid := padded[4:]
	rand.Read(uuid) // never fails: crypto/rand aborts the program instead
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(uuid, ms[2:])
	uuid[6] = 0x70 | uuid[6]&0x0f
	uuid[8] = 0x80 | uuid[8]&0x3f
	var zero T
	return T(zero.kind() + "_" + crockford.EncodeToString(padded[:])[6:])
}

// ParseID returns s as an identifier, or NotFound if s does not have the form
// of one: nothing can have such an id, so no query is needed. Parsing a valid
// id allocates nothing.
func ParseID[T ID](s string) (T, error) {
	var zero T
	body, ok := strings.CutPrefix(s, zero.kind()+"_")
	// 128 bits in 26 characters: the first carries three and stays below 8.
	if !ok || len(body) != 26 || body[0] > '7' {
		return zero, NotFound()
	}
	for i := range len(body) {
		if strings.IndexByte(crockfordAlphabet, body[i]) < 0 {
			return zero, NotFound()
		}
	}
	return T(s), nil
}
