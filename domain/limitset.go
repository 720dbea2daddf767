package domain

import "strconv"

// LimitSet are the limits that hold for some keys, in the form in which they are
// enforced. All keys of a plan share one, which never changes. The nil set has none.
type LimitSet struct {
	limits    []EffectiveLimit // complete, in the order in which a request takes from them: rates first
	rates     []Rate
	types     TypeSet
	sentences []string // what to say to the caller whom the limit refuses
	policy    []string
}

// newLimitSet returns the set of what Effective returns, or nil if there is
// nothing to enforce.
func newLimitSet(effective []EffectiveLimit) *LimitSet {
	var s LimitSet
	policy := ""
	for _, l := range effective {
		l.Limit = l.WithDefaults()
		if s.limits = append(s.limits, l); l.Type == RateLimit {
			s.rates = append(s.rates, l.Rate())
		}
		s.types |= l.Type.bit()
		s.sentences = append(s.sentences, l.sentence())
		policy = appendPolicy(policy, l.Limit)
	}
	if len(s.limits) == 0 {
		return nil
	}
	s.policy = []string{policy}
	return &s
}

// appendPolicy appends a limit as an item of RateLimit-Policy.
func appendPolicy(policy string, l Limit) string {
	if policy != "" {
		policy += ", "
	}
	if l.Type == Credits {
		return policy + `"` + l.Name + `";q=` + strconv.FormatInt(l.mostCredits(), 10)
	}
	units, _ := l.Limit.Units()
	policy += `"` + l.Name + `";q=` + strconv.FormatInt(units, 10) + ";w=" + strconv.FormatInt(l.Period.about(), 10)
	if l.Burst != nil && *l.Burst != units {
		policy += ";latchkey-burst=" + strconv.FormatInt(*l.Burst, 10)
	}
	return policy
}

// mostCredits returns the balance that credits have without grants.
func (l Limit) mostCredits() int64 {
	switch {
	case l.Refill == nil:
		return *l.Initial
	case l.Refill.Maximum != nil:
		return *l.Refill.Maximum
	}
	return max(*l.Initial, l.Refill.Amount)
}

// Len returns how many limits there are, at most MaxHeld.
func (s *LimitSet) Len() int {
	if s == nil {
		return 0
	}
	return len(s.limits)
}

// At returns a limit and where it comes from.
func (s *LimitSet) At(i int) *EffectiveLimit { return &s.limits[i] }

// Rates returns how many of the limits are rates; these come first. The others are
// quotas and credits.
func (s *LimitSet) Rates() int {
	if s == nil {
		return 0
	}
	return len(s.rates)
}

// Rate returns the rate of a limit.
func (s *LimitSet) Rate(i int) Rate { return s.rates[i] }

// Policy returns the one value of the header RateLimit-Policy, as
// draft-ietf-httpapi-ratelimit-headers-10 defines it. It is shared: do not change it.
func (s *LimitSet) Policy() []string { return s.policy }

// Counter returns the counter of a limit for a key.
func (s *LimitSet) Counter(i int, key ProvenKey) Counter {
	f := key.Fields()
	l := &s.limits[i]
	c := Counter{Type: l.Type, Name: l.Name, Per: l.Per}
	switch l.Source {
	case FromProject:
		c.Owner = string(f.ProjectID)
	case FromPlan:
		c.Owner = string(f.Plan.ID)
	case FromKey:
		c.Owner = string(f.ID)
	}
	switch {
	case l.Per == PerProject:
		c.Subject = string(f.ProjectID)
	case l.Per == PerExternalID && f.ExternalID != "":
		c.Subject = f.ExternalID
	default: // also a key without an external id, which counts alone
		c.Per, c.Subject = PerKey, string(f.ID)
	}
	return c
}
