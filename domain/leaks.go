package domain

import (
	"fmt"
	"slices"
)

// OnLeak is what a project has done with a key whose token is reported as leaked.
type OnLeak string

// What a project may choose.
const (
	LeakRevokes  OnLeak = "revoke" // the key ends
	LeakNotifies OnLeak = "notify" // the key keeps working, and its owners hear of it
)

// OnLeaks are all of them.
var OnLeaks = []OnLeak{LeakRevokes, LeakNotifies}

// ReasonLeaked is why keys are revoked whose tokens were reported as leaked.
const ReasonLeaked = "leaked"

// Leak is a token that was found in a place where others can read it.
type Leak struct {
	Token  Hidden
	URL    string // where it was found; empty: it is not known
	Source string // in what kind of place, in the finder's words
}

// LeakReport is what someone has found.
type LeakReport struct {
	Leaks []Leak
	Batch bool // all were found at the address of the first
}

// Validate returns validation_failed for texts that would change what is around them.
// Their lengths are those of the contract.
func (r LeakReport) Validate() error {
	var v Invalid
	for i, leak := range r.Leaks {
		if r.Batch {
			v.Text("/url", leak.URL, 0, MaxLeakTextLength)
			break
		}
		v.Text(fmt.Sprintf("/%d/url", i), leak.URL, 0, MaxLeakTextLength)
		v.Text(fmt.Sprintf("/%d/source", i), leak.Source, 0, MaxLeakTextLength)
	}
	return v.Err()
}

// Limits on what a report of leaks may carry.
const (
	MaxLeaks           = 1000 // tokens
	MaxLeakTokenLength = 4096 // characters
	MaxLeakTextLength  = 2048 // characters of an address and other texts
)

func (v *Invalid) onLeak(o OnLeak) {
	if !slices.Contains(OnLeaks, o) {
		v.Add("/on_leak", "must be revoke or notify")
	}
}

// KeyName is what names a key: ids of its tokens, or its own id or external id.
type KeyName struct {
	Tokens []TokenID
	Text   string
}

// KeyPlace is where a key is.
type KeyPlace struct {
	Key     KeyID
	Project ProjectID
}
