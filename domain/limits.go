package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// LimitType is what kind of limit it is.
type LimitType string

// The types of limits.
const (
	RateLimit LimitType = "rate"    // so many a second, minute, hour or day, with a burst: it protects load
	Quota     LimitType = "quota"   // so many in a period of the calendar: it sells volume
	Credits   LimitType = "credits" // a balance that is granted, spent and perhaps refilled: it is money
)

// LimitTypes are all of them, in the order in which a request takes from them.
var LimitTypes = []LimitType{RateLimit, Quota, Credits}

// Per is what a limit is counted over.
type Per string

// What a limit is counted over.
const (
	PerKey        Per = "key"
	PerExternalID Per = "external_id" // all keys of a customer together; a key without one counts alone
	PerProject    Per = "project"
)

// LimitMode is what happens when a limit is reached.
type LimitMode string

// The modes of a limit.
const (
	Enforce LimitMode = "enforce" // requests are refused
	Observe LimitMode = "observe" // requests are counted and reported, and never refused
)

// Limit is one rule for what keys may use. Its JSON is the form in which clients
// send and receive it and in which databases keep it. A field that is absent has
// the default of WithDefaults, and most fields apply only to some types.
type Limit struct {
	Name     string    `json:"name"`
	Type     LimitType `json:"type"`
	Limit    Allowance `json:"limit,omitzero"`      // rate, quota: how many in a period
	Period   Period    `json:"period,omitempty"`    // rate, quota
	Burst    *int64    `json:"burst,omitempty"`     // rate: how many may come together after a rest; default: the limit
	Initial  *int64    `json:"initial,omitempty"`   // credits: the balance that a new counter begins with; default: 0
	Refill   *Refill   `json:"refill,omitempty"`    // credits; default: none
	Per      Per       `json:"per,omitempty"`       // default: PerKey
	TimeZone string    `json:"time_zone,omitempty"` // quota, refill: whose calendar; default: UTC
	Cost     *int64    `json:"cost,omitempty"`      // what a request costs that names no cost; default: 1
	Mode     LimitMode `json:"mode,omitempty"`      // default: Enforce
}

// Refill adds to a balance when a period begins. It never makes a balance
// smaller.
type Refill struct {
	Amount  int64  `json:"amount"`
	Period  Period `json:"period"`
	Maximum *int64 `json:"maximum,omitempty"` // the balance that a refill does not exceed; nil: no maximum
}

// Allowance is how many units a rate limit or a quota allows in a period. JSON null
// is no limit at all, which is how a nearer place lifts a limit that it inherits.
// The zero value is an allowance that was not given.
type Allowance struct {
	units int64
	kind  allowanceKind
}

type allowanceKind uint8

const (
	allowanceAbsent allowanceKind = iota
	allowanceUnits
	allowanceUnlimited
)

// Allow returns an allowance of so many units.
func Allow(units int64) Allowance { return Allowance{units, allowanceUnits} }

// Unlimited returns the allowance without a limit.
func Unlimited() Allowance { return Allowance{kind: allowanceUnlimited} }

// Units returns how many units are allowed, unless there is no limit or none was
// given.
func (a Allowance) Units() (units int64, limited bool) { return a.units, a.kind == allowanceUnits }

// IsUnlimited reports whether a is the allowance without a limit.
func (a Allowance) IsUnlimited() bool { return a.kind == allowanceUnlimited }

// IsZero reports whether no allowance was given.
func (a Allowance) IsZero() bool { return a.kind == allowanceAbsent }

// Equal reports whether two allowances are the same.
func (a Allowance) Equal(b Allowance) bool { return a == b }

// MarshalJSON implements json.Marshaler.
func (a Allowance) MarshalJSON() ([]byte, error) {
	if a.kind != allowanceUnits {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, a.units, 10), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Allowance) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("null")) {
		*a = Unlimited()
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	*a = Allow(n)
	return err
}

// WithDefaults returns a valid limit with every field that applies to it and has a
// default.
func (l Limit) WithDefaults() Limit {
	if l.Per == "" {
		l.Per = PerKey
	}
	if l.Mode == "" {
		l.Mode = Enforce
	}
	if l.Cost == nil {
		l.Cost = new(int64(1))
	}
	if units, limited := l.Limit.Units(); limited && units > 0 && l.Type == RateLimit && l.Burst == nil {
		l.Burst = &units
	}
	if l.Type == Credits && l.Initial == nil {
		l.Initial = new(int64(0))
	}
	if l.TimeZone == "" && (l.Type == Quota || l.Refill != nil) {
		l.TimeZone = "UTC"
	}
	return l
}

// LimitsWithDefaults returns valid limits, each WithDefaults: the form in which
// they are kept. An empty list is nil.
func LimitsWithDefaults(limits []Limit) (complete []Limit) {
	for _, l := range limits {
		complete = append(complete, l.WithDefaults())
	}
	return complete
}

// ParseLimits reads a list of limits in JSON, as the API takes them. Any other text
// gives validation_failed. The limits are not valid yet.
func ParseLimits(text string) (limits []Limit, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err = d.Decode(&limits); err == nil {
		_, err = d.Token()
	}
	if limits == nil || !errors.Is(err, io.EOF) {
		wrong := Invalid{{Pointer: "/limits", Detail: "must be a list of limits in JSON"}}
		return nil, wrong.Err()
	}
	return limits, nil
}

// tighter reports whether limits allow no more than others did: they are the same,
// except for smaller numbers. Any other difference may allow more: a limit that is
// added may replace a stricter one of the plan.
func tighter(limits, before []Limit) bool {
	return slices.EqualFunc(limits, before, func(l, was Limit) bool {
		units, limited := l.Limit.Units()
		most, wasLimited := was.Limit.Units()
		if limited != wasLimited || units > most || l.Burst != nil && was.Burst != nil && *l.Burst > *was.Burst {
			return false
		}
		l.Limit, l.Burst = was.Limit, was.Burst
		return reflect.DeepEqual(l, was)
	})
}

// LimitSource is the place that defines a limit.
type LimitSource string

// The places that define limits, from the farthest to the nearest.
const (
	FromProject LimitSource = "project"
	FromPlan    LimitSource = "plan"
	FromKey     LimitSource = "key"
)

// EffectiveLimit is a limit that holds for a key, and the place that defines it.
type EffectiveLimit struct {
	Limit
	Source LimitSource
}

// Effective returns the limits that hold for a key: those of its project, its plan
// and its own. Where several places define a limit of one name, the key's wins over
// the plan's, and the plan's over the project's; one without a limit lifts the others.
// They are in the order in which a request takes from them: by type, then by name.
func Effective(project, plan, key []Limit) []EffectiveLimit {
	var effective []EffectiveLimit
	seen := map[string]bool{}
	for _, place := range []struct {
		source LimitSource
		limits []Limit
	}{{FromKey, key}, {FromPlan, plan}, {FromProject, project}} {
		for _, l := range place.limits {
			if seen[l.Name] {
				continue
			}
			seen[l.Name] = true
			if !l.Limit.IsUnlimited() {
				effective = append(effective, EffectiveLimit{l, place.source})
			}
		}
	}
	slices.SortFunc(effective, func(a, b EffectiveLimit) int {
		if byType := slices.Index(LimitTypes, a.Type) - slices.Index(LimitTypes, b.Type); byType != 0 {
			return byType
		}
		return strings.Compare(a.Name, b.Name)
	})
	return effective
}
