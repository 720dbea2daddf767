package edge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
)

// headerEcho marks the answers of the echo.
const headerEcho = "X-Latchkey-Echo"

// Received is what reached the API.
type Received struct {
	Method  string              `json:"method"`
	Target  string              `json:"target"` // as the proxy sent it
	Host    string              `json:"host"`
	Headers map[string][]string `json:"headers"`
}

// Echo returns an API that answers with what it received. Access tokens are shown, since
// they live for a minute. Of a key it shows the SHA-256 sum only.
func Echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := Received{Method: r.Method, Target: hide(r.RequestURI), Host: r.Host, Headers: map[string][]string{}}
		for name, values := range r.Header {
			for _, v := range values {
				if isCredential(name) && !strings.Contains(v, ".") {
					v = hideAll(v)
				}
				got.Headers[name] = append(got.Headers[name], hide(v))
			}
		}
		w.Header().Set(headerEcho, "1")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(got) // fails only if the proxy has left
	})
}

// isCredential reports whether a header, or an alias of it, holds a credential.
func isCredential(name string) bool {
	return slices.Contains([]string{"authorization", "x-api-key"}, plainName(name))
}

// plainName returns the name that some programs take a header for: Python's WSGI, PHP and
// CGI make the same variable of '-', '_' and '.'.
func plainName(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(strings.TrimSpace(name)))
}

// hide replaces keys in a text.
func hide(text string) string {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" ,;=&?/\"", r) }) {
		if _, err := domain.ParseToken(word); err == nil {
			text = strings.ReplaceAll(text, word, sum(word))
		}
	}
	return text
}

// hideAll replaces every word of a credential but its scheme.
func hideAll(value string) string {
	words := strings.Fields(value)
	for i, word := range words {
		if i > 0 || len(words) == 1 {
			words[i] = sum(word)
		}
	}
	return strings.Join(words, " ")
}

// sum is shown instead of a key.
func sum(key string) string {
	digest := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(digest[:])
}
