package api

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
)

// Headers and schemes for credentials.
const (
	authorization  = "Authorization"
	bearer         = "Bearer"
	defaultKeyword = "Api-Key"
	defaultHeader  = "X-Api-Key"
	realm          = `realm="latchkey"`
)

// The longest credentials that are checked, in bytes. Latchkey's tokens have at
// most 80, imported ones may be longer, and access tokens have about 600.
const (
	maxTokenLength       = 512
	maxAccessTokenLength = 4096
)

// Credentials says how clients send API keys. The zero value is the default:
// "Authorization: Api-Key <token>" or "X-Api-Key: <token>". Users always send
// "Authorization: Bearer <access token>".
type Credentials struct {
	Keyword string // the word before the token in Authorization; empty: Api-Key
	Header  string // if not empty, the only header that API keys are read from; it holds just the token
}

var (
	keywordPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,63}$`)
	headerPattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)
)

// reservedHeaders have another meaning in HTTP, so they cannot hold a key.
var reservedHeaders = map[string]bool{
	authorization: true, "Proxy-Authorization": true, "Cookie": true, "Set-Cookie": true, "Host": true, "Connection": true,
	"Content-Type": true, "Content-Length": true, "Content-Encoding": true, "Transfer-Encoding": true, "Accept": true, "Origin": true,
	"User-Agent": true, "X-Forwarded-For": true, "X-Request-Id": true, "Idempotency-Key": true, "If-Match": true,
}

// Validate returns everything that is wrong with the settings, or nil.
func (c Credentials) Validate() error {
	var errs []error
	if strings.EqualFold(c.Keyword, bearer) {
		errs = append(errs, errors.New("the keyword for API keys cannot be Bearer: a Bearer token is a user's access token here"))
	} else if c.Keyword != "" && !keywordPattern.MatchString(c.Keyword) {
		errs = append(errs, fmt.Errorf("the keyword for API keys %q must be one word of letters, digits, '-', '_' and '.'", c.Keyword))
	}
	switch django, isDjango := strings.CutPrefix(c.Header, "HTTP_"); {
	case isDjango:
		errs = append(errs, fmt.Errorf("the header for API keys %q is how Django spells it; write %s", c.Header,
			http.CanonicalHeaderKey(strings.ReplaceAll(strings.ToLower(django), "_", "-"))))
	case c.Header == "":
	case !headerPattern.MatchString(c.Header):
		errs = append(errs, fmt.Errorf("the header for API keys %q must be the name of a header: letters, digits and '-'", c.Header))
	case reservedHeaders[http.CanonicalHeaderKey(c.Header)]:
		errs = append(errs, fmt.Errorf("the header for API keys cannot be %s, which has another meaning",
			http.CanonicalHeaderKey(c.Header)))
	}
	return errors.Join(errs...)
}

// keyword is the scheme word for keys, or "" when Authorization is not for keys.
func (c Credentials) keyword() string {
	switch {
	case c.Header != "":
		return ""
	case c.Keyword != "":
		return c.Keyword
	}
	return defaultKeyword
}

// header is the header of its own that a key may travel in.
func (c Credentials) header() string {
	if c.Header != "" {
		return http.CanonicalHeaderKey(c.Header)
	}
	return defaultHeader
}

// sent has the credentials of a request.
type sent struct {
	key, accessToken       string
	hasKey, hasAccessToken bool
}

// read reads the credentials of a request. It fails with ambiguous_credentials if
// it would have to choose between two. It refuses text that cannot be a
// credential, so that it never causes a look-up. It ignores an Authorization
// header with a scheme other than the keyword and Bearer.
func (c Credentials) read(h http.Header) (sent, error) {
	own, inOwn, err := single(h, c.header())
	if err != nil {
		return sent{}, err
	}
	value, inAuthorization, err := single(h, authorization)
	if err != nil {
		return sent{}, err
	}
	s := sent{key: own, hasKey: inOwn}
	scheme, token := cutScheme(value)
	switch {
	case inAuthorization && strings.EqualFold(scheme, bearer):
		s.accessToken, s.hasAccessToken = token, true
	case inAuthorization && scheme != "" && strings.EqualFold(scheme, c.keyword()):
		if inOwn {
			return sent{}, domain.Errorf(domain.CodeAmbiguousCredentials,
				"An API key was sent both in %s and in %s. Send it in one of them.", c.header(), authorization)
		}
		s.key, s.hasKey = token, true
	}
	switch {
	case inAuthorization && scheme == "":
		return sent{}, domain.Refused(domain.CodeUnauthenticated, "The Authorization header is empty.")
	case s.hasKey && !visible(s.key, maxTokenLength):
		return sent{}, domain.Refused(domain.CodeInvalidAPIKey, "The API key is not valid. Send it as "+c.form()+".")
	case s.hasAccessToken && !visible(s.accessToken, maxAccessTokenLength):
		return sent{}, domain.Refused(domain.CodeInvalidToken,
			"The access token is not valid. Send it as Authorization: Bearer <access token>, with one space between.")
	}
	return s, nil
}

// mistaken returns the error of an access token: another one if it is an API key.
func (c Credentials) mistaken(accessToken string, err error) error {
	token, parseErr := domain.ParseToken(accessToken)
	if parseErr != nil || strings.HasPrefix(token.Prefix(), domain.ServiceTokenPrefix+"_") {
		return err
	}
	return domain.Refused(domain.CodeInvalidToken, "This is an API key, not an access token. Send it as "+c.form()+".")
}

// form says how to send an API key.
func (c Credentials) form() string {
	own := c.header() + ": <token>"
	if c.keyword() == "" {
		return own
	}
	return own + ", or as Authorization: " + c.keyword() + " <token> with one space between"
}

// single returns the value of a header, without the white space that HTTP allows
// around it. A header that was sent twice is ambiguous, even with equal values: a
// proxy may have read the other one.
func single(h http.Header, name string) (value string, present bool, err error) {
	switch values := h[name]; len(values) {
	case 0:
		return "", false, nil
	case 1:
		return strings.Trim(values[0], " \t"), true, nil
	}
	return "", false, domain.Errorf(domain.CodeAmbiguousCredentials, "The header %s was sent more than once. Send it once.", name)
}

// cutScheme splits the value of Authorization at the single space that must follow
// the scheme. After any other separator there is no token.
func cutScheme(value string) (scheme, token string) {
	i := strings.IndexAny(value, " \t")
	if i < 0 {
		return value, ""
	}
	if value[i] == '\t' {
		return value[:i], ""
	}
	return value[:i], value[i+1:]
}

// visible reports whether s is one word of visible ASCII, of at most longest
// bytes. Latchkey's tokens are, and imported tokens must be.
func visible(s string, longest int) bool {
	if s == "" || len(s) > longest {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// challenges returns the values of WWW-Authenticate (RFC 9110, section 11.6.1):
// one for each scheme that the rule accepts. If a credential was not valid, code
// says which one and why.
func (c Credentials) challenges(rule permission.Permission, code domain.Code) []string {
	alternatives, err := rule.Security()
	if err != nil || len(alternatives) == 0 { // a public operation that refuses, such as log-in, is for users
		alternatives = [][]permission.Scheme{{permission.BearerJWT}}
	}
	var takesKey, takesUser bool
	for _, schemes := range alternatives {
		for _, scheme := range schemes {
			takesUser = takesUser || scheme == permission.BearerJWT
			takesKey = takesKey || scheme != permission.BearerJWT
		}
	}
	var values []string
	if takesKey {
		values = append(values, c.keyChallenge(code))
	}
	if takesUser {
		value := bearer + " " + realm
		if code == domain.CodeInvalidToken || code == domain.CodeTokenExpired {
			value += `, error="invalid_token"` // RFC 6750, section 3.1, has one word for both
		}
		values = append(values, value)
	}
	return values
}

func (c Credentials) keyChallenge(code domain.Code) string {
	value := defaultKeyword + " " + realm
	if k := c.keyword(); k != "" {
		value = k + " " + realm
	} else {
		value += `, header="` + c.header() + `"`
	}
	switch code {
	case domain.CodeInvalidAPIKey, domain.CodeKeyExpired, domain.CodeKeyRevoked, domain.CodeProjectDisabled:
		value += `, error="` + string(code) + `"`
	}
	return value
}
