package domain

import "strings"

// MaxTagLength bounds a tag of a use, in characters.
const MaxTagLength = 64

// OtherTag is what uses are counted under whose tags are too many to keep them apart.
const OtherTag = "other"

// Tag checks the tag that a use is counted under. The empty tag is none.
func (v *Invalid) Tag(pointer, tag string) {
	if len(tag) > MaxTagLength || strings.ContainsFunc(tag, func(r rune) bool { return r < ' ' || r > '~' }) {
		v.Add(pointer, "must be 1 to %d printable ASCII characters", MaxTagLength)
	}
}
