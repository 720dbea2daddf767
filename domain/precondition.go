package domain

import "slices"

// Precondition is the revision that a caller expects of an object they are
// about to change: one of several. The zero value expects nothing.
type Precondition struct {
	set       bool
	revisions []int64
}

// AtRevision expects an object at one of the revisions. Without revisions, no
// object matches.
func AtRevision(revisions ...int64) Precondition { return Precondition{true, revisions} }

// Check returns precondition_failed unless revision is as expected.
func (p Precondition) Check(revision int64) error {
	if p.set && !slices.Contains(p.revisions, revision) {
		return Errorf(CodePreconditionFailed, "The resource has changed since you read it. Read it again before you change it.")
	}
	return nil
}
