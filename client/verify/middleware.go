package verify

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/client"
)

type keyInContext struct{}

// KeyOf returns the key of a request that Require has let in.
func KeyOf(ctx context.Context) (*client.VerifiedKey, bool) {
	key, ok := ctx.Value(keyInContext{}).(*client.VerifiedKey)
	return key, ok
}

// Require returns middleware that lets a request in if its key is valid and holds all
// scopes. Otherwise it answers as Latchkey does, with a problem (RFC 9457).
func (v *Verifier) Require(scopes ...client.Scope) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, refusal := v.Token(r.Header)
			if refusal != nil {
				refusal.write(w)
				return
			}
			result, err := v.Check(r.Context(), Question{Token: token, Scopes: scopes, IP: v.o.ClientIP(r)})
			result.Verification.SetHeaders(w.Header())
			if refusal := RefusalOf(result, err, scopes); refusal != nil {
				refusal.write(w)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), keyInContext{}, result.Key)))
		})
	}
}

// Refusal is an answer to a client that is not let in.
type Refusal struct {
	Status int            `json:"status"`
	Code   string         `json:"code"`
	Title  string         `json:"title"`
	Detail string         `json:"detail"`
	Scopes []client.Scope `json:"-"` // that the key must hold
}

var unavailable = &Refusal{
	Status: http.StatusServiceUnavailable,
	Code:   "unavailable",
	Title:  "Unavailable",
	Detail: "The answer cannot be known right now. Try again shortly.",
}

// Token returns the key that a request sends. Two of them are ambiguous.
func (v *Verifier) Token(h http.Header) (string, *Refusal) {
	name := v.o.Header
	if name == "" {
		name = "X-Api-Key"
	}
	var found []string
	found = append(found, h.Values(name)...)
	if v.o.Header == "" {
		for _, value := range h.Values("Authorization") {
			scheme, token, _ := strings.Cut(strings.Trim(value, " \t"), " ")
			if strings.EqualFold(scheme, v.o.Keyword) || strings.EqualFold(scheme, "Bearer") && !isJWT(token) {
				found = append(found, token)
			}
		}
	}
	switch len(found) {
	case 0:
		return "", &Refusal{
			Status: http.StatusUnauthorized,
			Code:   "unauthenticated",
			Title:  "Authentication required",
			Detail: "Authentication required. Send an API key.",
		}
	case 1:
		return strings.Trim(found[0], " \t"), nil
	}
	return "", &Refusal{
		Status: http.StatusBadRequest,
		Code:   "ambiguous_credentials",
		Title:  "Ambiguous credentials",
		Detail: "An API key was sent twice. Send it once.",
	}
}

// isJWT reports whether a bearer token is for someone else: no key has this form.
func isJWT(token string) bool {
	return strings.HasPrefix(token, "eyJ") && strings.Count(token, ".") == 2
}

// refusals says how each code of a verification is answered.
var refusals = map[client.VerificationCode]Refusal{
	"not_found":           {401, "invalid_api_key", "Invalid API key", "The API key is not valid.", nil},
	"revoked":             {401, "key_revoked", "Key revoked", "The API key has been revoked.", nil},
	"expired":             {401, "key_expired", "Key expired", "The API key has expired.", nil},
	"project_disabled":    {401, "project_disabled", "Project disabled", "The project of this API key is disabled.", nil},
	"insufficient_scope":  {403, "insufficient_scope", "Insufficient scope", "The API key lacks a scope that this request needs.", nil},
	"address_not_allowed": {403, "address_not_allowed", "Address not allowed", "The API key may not be used from this address.", nil},
	"wrong_environment":   {403, "wrong_environment", "Wrong environment", "The API key is of another environment.", nil},
	"rate_limited":        {429, "rate_limited", "Too many requests", "A limit of the API key is reached.", nil},
	"quota_exceeded":      {429, "quota_exceeded", "Quota exceeded", "A quota of the API key is used up.", nil},
	"credits_exhausted":   {402, "credits_exhausted", "Credits exhausted", "Credits of the API key are used up.", nil},
}

// RefusalOf returns how to answer what Check has returned about a token that must hold the
// scopes, or nil if the request is let in.
func RefusalOf(r Result, err error, scopes []client.Scope) *Refusal {
	switch {
	case err != nil:
		return unavailable
	case r.Code == client.VerificationCodeValid:
		return nil
	}
	refusal, known := refusals[r.Code]
	if !known {
		refusal = refusals[client.VerificationCodeNotFound] // of a later release
	}
	if r.Code == client.VerificationCodeInsufficientScope {
		refusal.Scopes = scopes
	}
	return &refusal
}

// peer returns the address of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "" // a Unix socket
	}
	return host
}

func (r *Refusal) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	switch r.Status {
	case http.StatusUnauthorized:
		challenge := `Api-Key realm="latchkey"`
		if r.Code != "unauthenticated" {
			challenge += `, error="invalid_token", error_description=` + strconv.Quote(r.Detail)
		}
		h.Set("WWW-Authenticate", challenge)
	case http.StatusForbidden:
		if len(r.Scopes) > 0 {
			scopes := strconv.Quote(strings.Join(r.Scopes, " "))
			h.Set("WWW-Authenticate", `Api-Key realm="latchkey", error="insufficient_scope", scope=`+scopes)
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	body, err := json.Marshal(struct {
		Type string `json:"type"`
		*Refusal
	}{"/docs/errors#" + r.Code, r})
	if err != nil {
		panic(err) // texts and a number
	}
	w.WriteHeader(r.Status)
	_, _ = w.Write(body) // the client may be gone
}
