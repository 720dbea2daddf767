// Package verify verifies the API keys that clients send to your service, next to your
// code: an answer of Latchkey is kept for up to a minute, and dropped as soon as the key
// changes.
//
//	latchkey, err := verify.New(verify.Options{}) // LATCHKEY_URL and LATCHKEY_API_KEY
//	http.Handle("GET /documents", latchkey.Require("documents:read")(documents))
//
// A revoked key is refused within a second while Latchkey can be reached, and otherwise
// after Options.Grace at the latest. If there is no answer, a request is refused with 503,
// and never let in. Keys with limits are asked about each time.
//
// docs/local.md has the rules in full. The SDKs for other languages keep the same ones,
// and one suite, sdk/conformance, holds all of them to them.
package verify
