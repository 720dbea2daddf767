package client_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/client"
)

// Guarantees that a service can pass a verification on to its own clients as HTTP has
// it: no code but valid is a success.
func TestVerificationAsHTTP(t *testing.T) {
	t.Parallel()
	for code, want := range map[client.VerificationCode]int{
		"valid": 200, "not_found": 401, "revoked": 401, "expired": 401, "project_disabled": 401,
		"insufficient_scope": 403, "wrong_environment": 403,
		"rate_limited": 429, "quota_exceeded": 429, "credits_exhausted": 402, "of a later release": 401,
	} {
		if got := (client.Verification{Code: code}).Status(); got != want {
			t.Errorf("%s: got %d, want %d", code, got, want)
		}
	}
	period := client.LimitStatePeriodMinute
	h := http.Header{}
	client.Verification{RetryAfter: new(int64(3)), Limits: []client.LimitState{
		{Name: "requests", Limit: new(int64(100)), Period: &period, Burst: new(int64(100)), Remaining: 17, NextAfter: new(int64(1))},
		{Name: "tokens", Limit: new(int64(20)), Period: &period, Burst: new(int64(5)), NextAfter: new(int64(3))},
		{Name: "credits", Remaining: 7},
	}}.SetHeaders(h)
	want := http.Header{
		"Ratelimit-Policy": {`"requests";q=100;w=60, "tokens";q=20;w=60;latchkey-burst=5`},
		"Ratelimit":        {`"requests";r=17;t=1, "tokens";r=0;t=3, "credits";r=7`},
		"Retry-After":      {"3"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	h = http.Header{}
	client.Verification{Code: "valid"}.SetHeaders(h)
	if len(h) > 0 {
		t.Errorf("got %v without limits", h)
	}
}
