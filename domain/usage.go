package domain

import (
	"cmp"
	"time"
)

// Outcome is the result of one use of a key: the code of its verification.
type Outcome string

// The outcomes.
const (
	OutcomeValid             Outcome = "valid"
	OutcomeRateLimited       Outcome = "rate_limited"
	OutcomeQuotaExceeded     Outcome = "quota_exceeded"
	OutcomeCreditsExhausted  Outcome = "credits_exhausted"
	OutcomeInsufficientScope Outcome = "insufficient_scope"
	OutcomeWrongEnvironment  Outcome = "wrong_environment"
	OutcomeAddressNotAllowed Outcome = "address_not_allowed"
	OutcomeExpired           Outcome = "expired"
	OutcomeRevoked           Outcome = "revoked"
	OutcomeProjectDisabled   Outcome = "project_disabled"
	OutcomeNotFound          Outcome = "not_found" // a token that is of no key: only a project has it
	OutcomeOther             Outcome = "other"     // refused, in a moment with too many different refusals to keep them apart

	// OutcomeReported is a use that a client has answered itself, from an answer that it
	// kept, and has reported. It is none of the requests that Latchkey has answered.
	OutcomeReported Outcome = "reported"
)

// Outcomes are all of them, in the order in which tables have them.
var Outcomes = []Outcome{
	OutcomeValid, OutcomeRateLimited, OutcomeQuotaExceeded, OutcomeCreditsExhausted, OutcomeInsufficientScope,
	OutcomeWrongEnvironment, OutcomeAddressNotAllowed, OutcomeExpired, OutcomeRevoked, OutcomeProjectDisabled, OutcomeNotFound,
	OutcomeReported, OutcomeOther,
}

// OutcomeOf returns the outcome of a use that was refused with code.
func OutcomeOf(code Code) Outcome {
	switch code {
	case CodeKeyRevoked:
		return OutcomeRevoked
	case CodeKeyExpired:
		return OutcomeExpired
	case CodeProjectDisabled:
		return OutcomeProjectDisabled
	case CodeAddressNotAllowed:
		return OutcomeAddressNotAllowed
	case CodeRateLimited, CodeQuotaExceeded, CodeCreditsExhausted:
		return Outcome(code)
	}
	return OutcomeOther
}

// UsageCount is how often a key or a tag was used with one outcome, since the last count.
type UsageCount struct {
	OrganizationID OrganizationID
	ProjectID      ProjectID
	KeyID          KeyID  // empty: of no key that is known
	Tag            string // not empty: what the project counts under this tag; its other counts have the same uses
	ExternalID     string // the key's, at that time
	Environment    Environment
	Outcome        Outcome
	Count          int64
}

// ReportedUse is how often a client has answered about a token itself, and when last.
type ReportedUse struct {
	OrganizationID OrganizationID
	ProjectID      ProjectID
	KeyID          KeyID
	TokenID        TokenID
	ExternalID     string
	Environment    Environment
	Count          int64
	Last           time.Time
}

// Compare orders counts by project, then by key.
func (c UsageCount) Compare(d UsageCount) int {
	return cmp.Or(cmp.Compare(c.ProjectID, d.ProjectID), cmp.Compare(c.KeyID, d.KeyID))
}

// UsageBatch is what one node has counted up to a moment and writes in one
// transaction. A node numbers its batches from 1: a batch is applied once, however
// often it is sent.
type UsageBatch struct {
	NodeID string
	Number int64
	At     time.Time // the counts are of the hour and the minute of this moment
	Counts []UsageCount
}

// Uses returns how many uses of keys and questions about unknown tokens the batch has.
func (b UsageBatch) Uses() (n int64) {
	for _, c := range b.Counts {
		if c.Tag == "" { // otherwise it is a count of the same use
			n += c.Count
		}
	}
	return n
}
