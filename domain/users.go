package domain

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// User is a person. The hash of their password is not a field, so it cannot
// leak through one.
type User struct {
	ID            UserID
	Email         string // normalised: see NormalizeEmail
	Name          string
	EmailVerified bool
	Operator      bool // may see the instance page
	Status        Status
	CreatedAt     time.Time
}

// Limits on sign-up fields, in characters. RFC 5321 gives an address 254.
const (
	MaxEmailLength    = 254
	MinPasswordLength = 12
	MaxPasswordLength = 256
)

// NormalizeEmail returns the one form of an address that is stored and
// compared: trimmed and in lower case. It returns "" for what is no address, or
// one that only quoting makes possible (RFC 5321, section 4.1.2), so that an
// address never needs quoting in a mail's header.
func NormalizeEmail(s string) string {
	if !utf8.ValidString(s) { // ToLower would replace what is invalid, and make two addresses one
		return ""
	}
	if s = strings.TrimSpace(s); len(s) > 2*MaxEmailLength { // no letter case makes it short enough
		return ""
	}
	s = strings.ToLower(s)
	local, host, _ := strings.Cut(s, "@")
	if local == "" || host == "" || len(s) > MaxEmailLength || strings.ContainsFunc(s, neverInEmail) ||
		strings.Contains(host, "@") || strings.Contains(host, "..") || strings.Trim(host, ".-") != host {
		return ""
	}
	return s
}

// DeliverableEmail is NormalizeEmail for an address that is new here. It returns ""
// also for what no mail can reach: dots at an end of the local part or in a row, a
// local part over 64 bytes, and a domain that is no host name (RFC 5321, 4.1.2 and
// 4.5.3.1). Accounts that have such an address still sign in.
func DeliverableEmail(s string) string {
	s = NormalizeEmail(s)
	local, host, _ := strings.Cut(s, "@")
	if len(local) > 64 || strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return ""
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label || strings.ContainsFunc(label, neverInHost) {
			return ""
		}
	}
	return s
}

func neverInHost(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && r < utf8.RuneSelf
}

func neverInEmail(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsGraphic(r) || strings.ContainsRune(`()<>[]:;,\"`, r)
}

// SignUp is what a person gives to get an account.
type SignUp struct {
	Email    string
	Password Hidden
	Name     string // may be empty

	// InvitationToken is the token of an invitation for the address, where sign-up
	// is by invitation.
	InvitationToken Hidden
}

// Validate returns validation_failed naming every field that is wrong. The password
// must not contain the words, nor those of the person.
func (s SignUp) Validate(words []string) error {
	var v Invalid
	if DeliverableEmail(s.Email) == "" {
		v.Add("/email", "must be an email address that can be reached")
	}
	v.Text("/name", s.Name, 0, MaxNameLength)
	v.Password("/password", s.Password.Reveal(), append(PersonalWords(s.Email, s.Name), words...))
	return v.Err()
}

// Password checks a new password: length and whether attackers would try it
// first, who know what it is for: it must not contain one of the words, which
// PersonalWords gives. There are no rules about kinds of characters (NIST SP
// 800-63B 5.1.1.2).
func (v *Invalid) Password(pointer, s string, words []string) {
	switch n := utf8.RuneCountInString(s); {
	case n < MinPasswordLength || n > MaxPasswordLength:
		v.Add(pointer, "must be %d to %d characters", MinPasswordLength, MaxPasswordLength)
	case !utf8.ValidString(s):
		v.Add(pointer, "must be valid UTF-8")
	case commonPassword(s):
		v.Add(pointer, "is among the passwords that attackers try first; choose another")
	case containsWord(s, words):
		v.Add(pointer, "must not contain your name, your email address, or the name of your organization or of this product")
	}
}

// Session is one signed-in device of a user.
type Session struct {
	ID             SessionID
	UserID         UserID
	CreatedAt      time.Time // when the password was last proved: what a fresh sign-in is measured from
	LastUsedAt     time.Time // when it was last refreshed, or its cookie used
	ExpiresAt      time.Time // absolute; it idles out before that
	IP             string
	UserAgent      string
	RefreshDigest  Digest    // of the refresh token that is good now
	PreviousDigest Digest    // of the one before it
	RotatedAt      time.Time // when the one replaced the other
}
