package client

import (
	"net/http"
	"strconv"
	"strings"
)

// Status returns the HTTP status with which a service answers the client whose key it
// has verified: 200 for a valid key, 401 for one that is none or no longer, 403 if a
// scope is missing, 429 beyond a limit. An answer that this release does not know is
// 401, like a key that is not valid.
func (v Verification) Status() int {
	switch v.Code {
	case VerificationCodeValid:
		return http.StatusOK
	case VerificationCodeInsufficientScope:
		return http.StatusForbidden
	case VerificationCodeRateLimited:
		return http.StatusTooManyRequests
	}
	return http.StatusUnauthorized
}

// SetHeaders sets the headers that show the client of a service the limits of its key,
// as draft-ietf-httpapi-ratelimit-headers-10 defines them: RateLimit-Policy, RateLimit,
// and for a refusal Retry-After. Without limits it sets none.
func (v Verification) SetHeaders(h http.Header) {
	var policy, left []string
	for _, l := range v.Limits {
		if l.Limit == nil || l.Period == nil {
			continue
		}
		p := `"` + l.Name + `";q=` + strconv.FormatInt(*l.Limit, 10) + ";w=" + strconv.Itoa(periodSeconds[*l.Period])
		if l.Burst != nil && *l.Burst != *l.Limit {
			p += ";latchkey-burst=" + strconv.FormatInt(*l.Burst, 10)
		}
		policy = append(policy, p)
		left = append(left, `"`+l.Name+`";r=`+strconv.FormatInt(l.Remaining, 10)+";t="+strconv.FormatInt(l.NextAfter, 10))
	}
	if len(policy) > 0 {
		h.Set("RateLimit-Policy", strings.Join(policy, ", "))
		h.Set("RateLimit", strings.Join(left, ", "))
	}
	if v.RetryAfter != nil {
		h.Set("Retry-After", strconv.FormatInt(*v.RetryAfter, 10))
	}
}

// periodSeconds are the lengths of the periods of rates.
var periodSeconds = map[LimitStatePeriod]int{
	LimitStatePeriodSecond: 1,
	LimitStatePeriodMinute: 60,
	LimitStatePeriodHour:   3600,
	LimitStatePeriodDay:    86400,
}
