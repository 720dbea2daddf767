package verify

import (
	"cmp"

	"github.com/latchkey-dev/latchkey/client"
)

// Fake returns a verifier for your own tests: it knows these keys by their tokens, and
// asks no one. A key is active and for production unless it says otherwise; one with the
// status revoked or expired is refused.
//
//	latchkey := verify.Fake(map[string]client.VerifiedKey{"good": {ID: "key_1", Scopes: []client.Scope{"documents:read"}}})
func Fake(keys map[string]client.VerifiedKey) *Verifier {
	v := newVerifier(Options{})
	v.stop = func() {}
	close(v.stopped)
	v.fake = func(q Question) *answer {
		key, known := keys[q.Token]
		if !known {
			return &answer{Verification: client.Verification{Code: client.VerificationCodeNotFound}}
		}
		key.Environment = cmp.Or(key.Environment, "live")
		key.Status = cmp.Or(key.Status, "active")
		code := client.VerificationCode(key.Status)
		if key.Status == "active" {
			code = client.VerificationCodeValid
		}
		return &answer{Verification: client.Verification{
			Valid:   code == client.VerificationCodeValid,
			Code:    code,
			Key:     &key,
			TokenID: new(q.Token),
		}}
	}
	return v
}
