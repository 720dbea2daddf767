package edge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// identityHeaders are the plain headers that the API gets besides the access token.
var identityHeaders = []string{"X-Latchkey-Key", "X-Latchkey-External-Id", "X-Latchkey-Scope"}

// claims are what an access token of a key says.
type claims struct {
	jwt.RegisteredClaims

	Scope      string `json:"scope"`
	ExternalID string `json:"external_id"`
}

// plain returns the values that the plain headers must have.
func (c *claims) plain() map[string]string {
	var external strings.Builder
	for i := range len(c.ExternalID) {
		if b := c.ExternalID[i]; b <= ' ' || b > '~' || b == '%' {
			fmt.Fprintf(&external, "%%%02X", b)
		} else {
			external.WriteByte(b)
		}
	}
	return map[string]string{"X-Latchkey-Key": c.Subject, "X-Latchkey-External-Id": external.String(), "X-Latchkey-Scope": c.Scope}
}

// readKeys reads the key set of the issuer, as the API does.
func (t *Test) readKeys(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(t.Issuer, "/")+"/jwks.json", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var set struct {
		Keys []struct {
			Kid string `json:"kid"`
			X   string `json:"x"`
			Y   string `json:"y"`
		} `json:"keys"`
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(body, &set)
	}
	if err != nil || response.StatusCode != http.StatusOK || len(set.Keys) == 0 {
		return fmt.Errorf("%s has no key set: status %d", request.URL, response.StatusCode)
	}
	t.keys = map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		x, _ := base64.RawURLEncoding.DecodeString(k.X)
		y, _ := base64.RawURLEncoding.DecodeString(k.Y)
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			return err
		}
		t.keys[k.Kid] = public
	}
	return nil
}

// verify returns what an access token says, if the project of the issuer has issued it.
func (t *Test) verify(token string) (*claims, error) {
	var c claims
	now := t.Now
	if now == nil {
		now = time.Now
	}
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}),
		jwt.WithIssuer(strings.TrimRight(t.Issuer, "/")),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(now),
	).ParseWithClaims(token, &c, func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		if key, ok := t.keys[kid]; ok {
			return key, nil
		}
		return nil, errors.New("signed by no key of the issuer")
	})
	return &c, err
}

// wrong says what is wrong about what reached the API for a request with a key, or "".
func (t *Test) wrong(got *Received, key string) string {
	if strings.Contains(fmt.Sprint(*got), sum(key)) {
		return "the key itself reaches the API"
	}
	tokens := got.Headers["Authorization"]
	if len(tokens) != 1 {
		return fmt.Sprintf("%d Authorization headers reach the API: a client removed or added one", len(tokens))
	}
	text, isBearer := strings.CutPrefix(tokens[0], "Bearer ")
	if !isBearer {
		return "Authorization does not hold an access token"
	}
	c, err := t.verify(text)
	if err != nil {
		return "the access token is not good: " + err.Error()
	}
	if t.subject == "" {
		t.subject = c.Subject
		t.plain = map[string]bool{}
		for _, name := range identityHeaders {
			t.plain[name] = len(got.Headers[name]) > 0
		}
	}
	if c.Subject != t.subject {
		return "the access token is of another key"
	}
	return t.wrongHeaders(got, c.plain())
}

// wrongHeaders says what is wrong about the plain headers, or "".
func (t *Test) wrongHeaders(got *Received, want map[string]string) string {
	for _, name := range identityHeaders {
		values := got.Headers[name]
		switch {
		case len(values) == 0 && t.plain[name] && want[name] != "":
			return name + " is missing: the client has removed it"
		case len(values) > 1:
			return name + " reaches the API more than once"
		case len(values) == 1 && values[0] != want[name]:
			return name + " is what the client wrote, and not what the access token says"
		}
	}
	for name := range got.Headers {
		for _, known := range append(identityHeaders, "Authorization") {
			if name != known && plainName(name) == strings.ToLower(known) {
				return name + " reaches the API, which some programs take for " + known
			}
		}
	}
	return ""
}
