package domain

import (
	"strconv"
	"time"
)

// CreditGrant is what a caller adds to credits, or takes back from them. It names the
// credits by a key that spends them, or by the external id that they are counted over.
type CreditGrant struct {
	Limit      string // its name
	KeyID      KeyID
	ExternalID string
	Amount     int64 // negative: at most what is available is taken back
	Refund     bool  // at most so many are refunded of those that were forfeited; with the amount 0 all
	Reason     string

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
}

// Validate returns validation_failed, naming every field that is wrong.
func (g CreditGrant) Validate() error {
	var v Invalid
	if !limitName.MatchString(g.Limit) {
		v.Add("/limit", "must be the name of a limit")
	}
	switch {
	case g.KeyID == "" && g.ExternalID == "":
		v.Add("/key_id", "must be given, or external_id instead of it")
	case g.KeyID != "" && g.ExternalID != "":
		v.Add("/external_id", "must not be given beside key_id")
	case g.ExternalID != "":
		v.Text("/external_id", g.ExternalID, 1, MaxExternalIDLength)
	}
	if g.Refund && (g.Amount < 0 || g.Amount > MaxUnits) {
		v.Add("/amount", "must be 1 to %d", MaxUnits)
	} else if !g.Refund && (g.Amount == 0 || g.Amount < -MaxUnits || g.Amount > MaxUnits) {
		v.Add("/amount", "must be 1 to %d, or -%d to -1", MaxUnits, MaxUnits)
	}
	v.Text("/reason", g.Reason, 0, MaxReasonLength)
	return v.Err()
}

// Granted is what a grant has done.
type Granted struct {
	Entry   CreditEntry
	Balance int64 // after it, without what other nodes may still spend
}

// CreditFilter narrows a list of changes of credits. A zero field does not narrow.
type CreditFilter struct {
	ExternalID string // that the credits are counted over
	KeyID      KeyID  // of a key that spends the credits
}

// Validate returns validation_failed for values that no entry can match.
func (f CreditFilter) Validate() error {
	var v Invalid
	v.findable("external_id", f.ExternalID)
	if _, err := ParseID[KeyID](string(f.KeyID)); err != nil && f.KeyID != "" {
		v.Add("key_id", "must be the id of a key")
	}
	return v.Err()
}

// Subject is what limits are counted over.
type Subject struct {
	Per Per
	ID  string // the key's id, the external id or the project's id
}

// CreditEntryColumns name the cells of CreditEntry.Row.
var CreditEntryColumns = []string{
	"id", "created_at", "limit", "owner_id", "per", "subject", "kind", "amount", "reason",
	"created_by_kind", "created_by_id", "created_by_name",
}

// Row returns the entry as a row of a table that a spreadsheet can open: the time is in
// RFC 3339, and no cell but the amount, which is a number, can be a formula.
func (e CreditEntry) Row() ([]string, error) {
	return []string{
		string(e.ID), e.CreatedAt.UTC().Format(time.RFC3339Nano), e.Counter.Name, e.Counter.Owner, string(e.Counter.Per),
		inert(e.Counter.Subject), string(e.Kind), strconv.FormatInt(e.Amount, 10), inert(e.Reason),
		string(e.CreatedBy.Kind), e.CreatedBy.ID, inert(e.CreatedBy.Name),
	}, nil
}
