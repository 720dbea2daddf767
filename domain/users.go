package domain

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// UserKind is whether a user is a person.
type UserKind string

// The kinds of users.
const (
	PersonUser  UserKind = "person"
	ServiceUser UserKind = "service"
)

// User is a person, or the user of a service account. The hash of a person's password
// is not a field, so it cannot leak through one.
type User struct {
	ID            UserID
	Kind          UserKind
	Email         string // normalized: see NormalizeEmail; of a service account, its id
	Name          string
	EmailVerified bool
	Operator      bool // may see the instance page
	Status        Status
	CreatedAt     time.Time

	MayDeleteProjects bool // of a service account, which cannot sign in again to do so
}

// IsService reports whether the user is that of a service account.
func (u User) IsService() bool { return u.Kind == ServiceUser }

// Limits on sign-up fields, in characters. RFC 5321 gives an address 254.
const (
	MaxEmailLength    = 254
	MinPasswordLength = 12
	MaxPasswordLength = 256
)

// NormalizeEmail returns the one form of an address that is stored and
// compared: trimmed and in lower case. It returns "" for text that is no
// address, and for an address that needs quoting (RFC 5321, section 4.1.2), so
// that none needs quoting in an email's header.
func NormalizeEmail(s string) string {
	if !utf8.ValidString(s) { // ToLower would replace invalid bytes, and two addresses would become one
		return ""
	}
	if s = strings.TrimSpace(s); len(s) > 2*MaxEmailLength { // so that the rest costs little
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

// DeliverableEmail is like NormalizeEmail, for an address that is new here. It
// also returns "" for an address that no email can reach: dots at an end of the
// local part or in a row, a local part over 64 bytes, and a domain that is no
// host name (RFC 5321, 4.1.2 and 4.5.3.1). Accounts that have such an address
// can still sign in.
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

	// InvitationToken is the token of an invitation for the address. It is needed
	// if sign-up requires an invitation.
	InvitationToken Hidden
}

// Validate returns validation_failed, naming every field that is wrong. The
// password must contain neither the words nor those of the person.
func (s SignUp) Validate(words []string) error {
	var v Invalid
	if DeliverableEmail(s.Email) == "" {
		v.Add("/email", "must be an email address that can be reached")
	}
	v.Text("/name", s.Name, 0, MaxNameLength)
	v.Password("/password", s.Password.Reveal(), append(PersonalWords(s.Email, s.Name), words...))
	return v.Err()
}

// Password checks a new password: its length, and whether attackers would try
// it first. It must not contain one of the words, which come from
// PersonalWords. There are no rules about kinds of characters (NIST SP 800-63B
// 5.1.1.2).
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
	CreatedAt      time.Time // when the password was last proved; the age of a sign-in counts from here
	LastUsedAt     time.Time // when it was last refreshed, or its cookie was used
	ExpiresAt      time.Time // absolute; an idle session ends earlier
	IP             string
	UserAgent      string
	RefreshDigest  Digest    // of the current refresh token
	PreviousDigest Digest    // of the previous refresh token
	RotatedAt      time.Time // when the current one replaced the previous one
}
