package domain

// MaxRevocation is how many keys one request revokes at most.
const MaxRevocation = 500

// KeySelection says which keys are to be revoked together: those that fit every field
// that is given.
type KeySelection struct {
	ExternalID string
	CreatedBy  string // the id of who made them: a user, a key, or "system"
	Scope      Scope  // that they hold
}

// Filter returns the filter of a list of the selected keys.
func (s KeySelection) Filter() KeyFilter {
	return KeyFilter{ExternalID: s.ExternalID, CreatedBy: s.CreatedBy, Scope: s.Scope, Unrevoked: true}
}

// Validate returns validation_failed for values that no key can have, and for a
// selection of all keys, which is more likely a mistake.
func (s KeySelection) Validate() error {
	var v Invalid
	if s == (KeySelection{}) {
		v.Add("", "must have an external_id, a created_by or a scope")
	}
	v.Text("/external_id", s.ExternalID, 0, MaxExternalIDLength)
	if s.CreatedBy != "" && !(KeyFilter{CreatedBy: s.CreatedBy}).creator() {
		v.Add("/created_by", "must be the id of a user or of a key, or system")
	}
	if s.Scope != "" {
		if why := ValidateScope(s.Scope); why != "" {
			v.Add("/scope", "%s", why)
		}
	}
	return v.Err()
}

// Revocation is what became of a selection.
type Revocation struct {
	Keys []Key // that were revoked, or would be
	Kept int   // that the caller may not revoke, or the calling key itself
	More bool  // there are more than MaxRevocation: ask again
}
