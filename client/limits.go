package client

import (
	"net/http"
	"strconv"
	"strings"
)

// Status returns the HTTP status with which a service answers the client whose key it
// has verified: 200 for a valid key, 401 for one that is none or no longer, 403 if a
// scope is missing, the environment is another one or the address is not allowed, 429
// beyond a rate or a quota, 402 without credits. An answer that this release does not
// know is 401, like a key that is not valid.
func (v Verification) Status() int {
	switch v.Code {
	case VerificationCodeValid:
		return http.StatusOK
	case VerificationCodeInsufficientScope, VerificationCodeWrongEnvironment, VerificationCodeAddressNotAllowed:
		return http.StatusForbidden
	case VerificationCodeRateLimited, VerificationCodeQuotaExceeded:
		return http.StatusTooManyRequests
	case VerificationCodeCreditsExhausted:
		return http.StatusPaymentRequired
	}
	return http.StatusUnauthorized
}

// SetHeaders sets the headers that show the client of a service the limits of its key,
// as draft-ietf-httpapi-ratelimit-headers-10 defines them: RateLimit-Policy, RateLimit,
// and for a refusal Retry-After. Without limits it sets none.
func (v Verification) SetHeaders(h http.Header) {
	var policy, left []string
	for _, l := range v.Limits {
		item := `"` + l.Name + `";r=` + strconv.FormatInt(l.Remaining, 10)
		if l.NextAfter != nil {
			item += ";t=" + strconv.FormatInt(*l.NextAfter, 10)
		}
		left = append(left, item)
		if l.Limit == nil || l.Period == nil { // credits
			continue
		}
		p := `"` + l.Name + `";q=` + strconv.FormatInt(*l.Limit, 10) + ";w=" + strconv.Itoa(periodSeconds[*l.Period])
		if l.Burst != nil && *l.Burst != *l.Limit {
			p += ";latchkey-burst=" + strconv.FormatInt(*l.Burst, 10)
		}
		policy = append(policy, p)
	}
	if len(policy) > 0 {
		h.Set("RateLimit-Policy", strings.Join(policy, ", "))
	}
	if len(left) > 0 {
		h.Set("RateLimit", strings.Join(left, ", "))
	}
	if v.RetryAfter != nil {
		h.Set("Retry-After", strconv.FormatInt(*v.RetryAfter, 10))
	}
}

// periodSeconds are the lengths of periods, where they differ those of common ones.
var periodSeconds = map[LimitStatePeriod]int{
	LimitStatePeriodSecond: 1,
	LimitStatePeriodMinute: 60,
	LimitStatePeriodHour:   3600,
	LimitStatePeriodDay:    86400,
	LimitStatePeriodWeek:   7 * 86400,
	LimitStatePeriodMonth:  30 * 86400,
	LimitStatePeriodYear:   365 * 86400,
}
