package domain

import "slices"

// Precondition is what a caller expects of an object that they are about to
// change: that it is of one of some revisions. The zero value expects nothing.
type Precondition struct {
	set       bool
	revisions []int64
}

// AtRevision expects an object of one of the revisions; of none given, nothing
// can be.
func AtRevision(revisions ...int64) Precondition { return Precondition{true, revisions} }

// Check returns precondition_failed unless revision is as expected.
func (p Precondition) Check(revision int64) error {
	if p.set && !slices.Contains(p.revisions, revision) {
		return Errorf(CodePreconditionFailed, "The resource has changed since you read it. Read it again before you change it.")
	}
	return nil
}
