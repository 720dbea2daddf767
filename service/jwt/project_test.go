package jwt_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/jwt"
)

func projectKey(t *testing.T, fill byte) jwt.ProjectKey {
	t.Helper()
	k, err := jwt.NewProjectKey(bytes.Repeat([]byte{fill}, 48))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Guarantees that a project's token proves itself to its issuer and audience alone,
// by its own key alone, and until it ends.
func TestProjectTokens(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	own, foreign := projectKey(t, 1), projectKey(t, 2)
	claims := jwt.KeyClaims{
		Issuer: "https://a/v1/projects/1", Audience: "https://api", Key: domain.NewID[domain.KeyID](now), Scope: "a:b c:d",
		ExternalID: "customer-1", Environment: domain.Test, IssuedAt: now, ExpiresAt: now.Add(time.Minute),
	}
	token, err := own.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	got, err := jwt.VerifyProject([]jwt.ProjectKey{foreign, own}, claims.Issuer, claims.Audience, token, now)
	if diff := cmp.Diff(claims, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	parts := strings.Split(token, ".")
	swap := func(header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1] + "." + parts[2]
	}
	other, err := foreign.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		keys             []jwt.ProjectKey
		issuer, audience string
		token            string
		at               time.Time
	}{
		"another issuer":        {[]jwt.ProjectKey{own}, "https://a/v1/projects/2", claims.Audience, token, now},
		"another audience":      {[]jwt.ProjectKey{own}, claims.Issuer, "https://other", token, now},
		"expired":               {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, token, now.Add(time.Minute)},
		"from the future":       {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, token, now.Add(-time.Minute)},
		"of another's key":      {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, other, now},
		"no signature":          {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, parts[0] + "." + parts[1] + ".", now},
		"alg none":              {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, swap(`{"alg":"none","typ":"JWT","kid":"` + own.ID + `"}`), now},
		"alg HS256":             {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, swap(`{"alg":"HS256","typ":"JWT","kid":"` + own.ID + `"}`), now},
		"alg EdDSA":             {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, swap(`{"alg":"EdDSA","typ":"at+jwt","kid":"` + own.ID + `"}`), now},
		"typ of people's":       {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, swap(`{"alg":"ES256","typ":"at+jwt","kid":"` + own.ID + `"}`), now},
		"a key of its own":      {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, swap(`{"alg":"ES256","typ":"JWT","kid":"` + own.ID + `","jwk":{}}`), now},
		"a line break":          {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, token + "\n", now},
		"longer than any other": {[]jwt.ProjectKey{own}, claims.Issuer, claims.Audience, token + strings.Repeat("a", jwt.MaxProjectToken), now},
	} {
		if _, err := jwt.VerifyProject(c.keys, c.issuer, c.audience, c.token, c.at); domain.CodeOf(err) != domain.CodeInvalidToken {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Guarantees that people's access tokens and those of keys are refused as each other,
// and that no signing key is printed.
func TestProjectTokensAreNotPeoples(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	const issuer = "https://a"
	person, own := jwt.NewKey(now), projectKey(t, 1)
	people := jwt.NewKeySet(issuer, person)
	of := jwt.Claims{
		User: domain.NewID[domain.UserID](now), Session: domain.NewID[domain.SessionID](now),
		IssuedAt: now, ExpiresAt: now.Add(time.Minute),
	}
	theirs, err := people.Sign(of)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.VerifyProject([]jwt.ProjectKey{own}, issuer, issuer, theirs, now); domain.CodeOf(err) != domain.CodeInvalidToken {
		t.Errorf("a person's token as a key's: got %v", err)
	}
	ours, err := own.Sign(jwt.KeyClaims{
		Issuer: issuer, Audience: issuer, Key: domain.NewID[domain.KeyID](now), IssuedAt: now, ExpiresAt: now.Add(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := people.Verify(ours, now); domain.CodeOf(err) != domain.CodeInvalidToken {
		t.Errorf("a key's token as a person's: got %v", err)
	}
	if got := fmt.Sprintf("%v %+v %#v", own, own, own); got != strings.Repeat(" signing key "+own.ID, 3)[1:] {
		t.Errorf("a signing key prints as %s", got)
	}
}
