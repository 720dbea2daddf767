package domain

import (
	"maps"
	"slices"
)

// Cost is what one request costs, by the names of limits. What it does not name
// costs what the limit says.
type Cost map[string]int64

// Validate returns validation_failed, naming every entry that is wrong. Names for
// which a key has no limit are good: a question is asked alike for all plans.
func (c Cost) Validate() error {
	var v Invalid
	switch {
	case len(c) == 0:
		return nil // as of most questions, without an allocation
	case len(c) > MaxLimits:
		v.Add("/cost", "must have at most %d entries", MaxLimits)
		return v.Err()
	}
	strange := false
	for _, name := range slices.Sorted(maps.Keys(c)) {
		switch units := c[name]; {
		case !limitName.MatchString(name):
			strange = true
		case units < 0 || units > MaxUnits:
			v.Add("/cost/"+name, "must be 0 to %d", MaxUnits)
		}
	}
	if strange {
		v.Add("/cost", "must have names of limits only")
	}
	return v.Err()
}

// Of returns how many units of a limit, WithDefaults, the request costs.
func (c Cost) Of(l Limit) int64 {
	if units, named := c[l.Name]; named {
		return units
	}
	return *l.Cost
}
