// Package permission says who may call a route: callers with an API key, users, or
// any combination of the two.
//
//	permission.Any(permission.HasAPIKey, permission.IsUser)
//
// A permission is a rule about the credentials that a caller has proved. It is
// data: built once, without I/O, and printable. The OpenAPI document publishes the
// same rule that the server enforces. It does not decide what a caller may do next:
// that is an action, which a role or a scope includes and which the project or the
// organization checks.
package permission

import (
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
)

// Verdict is what a permission answers about a caller, in Kleene's strong
// three-valued logic. Its order is the order of truth: Any is the maximum of
// its operands, All the minimum, Not the negation.
type Verdict int8

// The verdicts.
const (
	Denied  Verdict = -1 // the proved credentials are not accepted here: 403
	Unknown Verdict = 0  // nothing has been proved: 401
	Allowed Verdict = +1
)

// String returns the verdict's name.
func (v Verdict) String() string {
	switch v {
	case Denied:
		return "Denied"
	case Unknown:
		return "Unknown"
	case Allowed:
		return "Allowed"
	}
	return fmt.Sprintf("Verdict(%d)", int8(v))
}

// Permission is a rule about callers. Permissions are immutable and safe for
// concurrent use.
//
// The zero value is a forgotten rule. It denies every caller, and so does every
// expression that contains it, even under Not.
type Permission struct {
	op       op
	leaf     credentials  // of a leaf: the credential it names
	operands []Permission // of the others; one for not
}

// op is the kind of a permission. Operators that bind more tightly in the notation
// of String come later.
type op uint8

const (
	forgotten op = iota
	public
	leaf
	anyOf
	allOf
	not
)

var (
	// Public admits every caller without reading credentials. It cannot be
	// combined: Any, All and Not panic if they get it.
	Public = Permission{op: public}

	// HasAPIKey admits callers who proved an API key.
	HasAPIKey = Permission{op: leaf, leaf: aKey}

	// IsUser admits callers who proved that they are a signed-in user.
	IsUser = Permission{op: leaf, leaf: aUser}
)

// Any admits callers that at least one of the permissions admits.
func Any(first Permission, rest ...Permission) Permission { return compose(anyOf, first, rest...) }

// All admits callers that every one of the permissions admits.
func All(first Permission, rest ...Permission) Permission { return compose(allOf, first, rest...) }

// Not admits proven callers that p denies. It never admits an anonymous caller:
// Unknown stays Unknown.
func Not(p Permission) Permission { return compose(not, p) }

func compose(o op, first Permission, rest ...Permission) Permission {
	operands := append([]Permission{first}, rest...)
	is := func(o op) func(Permission) bool { return func(p Permission) bool { return p.op == o } }
	switch {
	case slices.ContainsFunc(operands, is(public)):
		panic("permission: Public cannot be part of an expression")
	case slices.ContainsFunc(operands, is(forgotten)):
		return Permission{}
	case len(operands) == 1 && o != not:
		return first
	}
	return Permission{op: o, operands: operands}
}

// IsPublic reports whether p is Public, so that credentials need not be read.
func (p Permission) IsPublic() bool { return p.op == public }

// Check returns the verdict about the credentials that the caller has proved. It
// does not refuse two credentials where one is accepted: Admit does.
func (p Permission) Check(caller domain.Principal) Verdict { return p.verdict(proved(caller)) }

// Admit returns nil for a caller who is admitted, and otherwise a *domain.Error
// that says which credentials are accepted:
//
//   - unauthenticated, if nothing was proved;
//   - forbidden, if the proved credentials are not accepted here;
//   - multiple_credentials, if a key and a user were both proved and no branch of
//     the rule that holds names both. It would be unclear who is acting, and whom
//     the audit trail should name.
func (p Permission) Admit(caller domain.Principal) error {
	c := proved(caller)
	switch v := p.verdict(c); {
	case v == Unknown:
		return domain.Errorf(domain.CodeUnauthenticated, "Authentication required. %s", p.enough())
	case v == Denied:
		return domain.Errorf(domain.CodeForbidden, "These credentials are not accepted here. %s", p.enough())
	case p.ambiguous(c):
		return domain.Errorf(domain.CodeMultipleCredentials, "Two credentials were sent, and this operation takes one. %s", p.enough())
	}
	return nil
}

// String returns the rule in the notation of LATCHKEY_DEFAULT_PERMISSION:
// | for Any, & for All, ~ for Not.
func (p Permission) String() string {
	switch p.op {
	case public:
		return "Public"
	case leaf:
		return map[credentials]string{aKey: "HasAPIKey", aUser: "IsUser"}[p.leaf]
	case anyOf:
		return p.join("|")
	case allOf:
		return p.join("&")
	case not:
		return "~" + p.join("")
	}
	return "None"
}

// join writes the operands, with parentheses around those that bind less tightly
// than p.
func (p Permission) join(sign string) string {
	terms := make([]string, len(p.operands))
	for i, operand := range p.operands {
		terms[i] = operand.String()
		if operand.op >= anyOf && operand.op < p.op {
			terms[i] = "(" + terms[i] + ")"
		}
	}
	return strings.Join(terms, sign)
}

// Parse reads a default rule: HasAPIKey, IsUser, HasAPIKey|IsUser or
// HasAPIKey&IsUser. An empty text is the zero value, which denies every caller.
func Parse(s string) (Permission, error) {
	if s == "" {
		return Permission{}, nil
	}
	rules := []Permission{HasAPIKey, IsUser, Any(HasAPIKey, IsUser), All(HasAPIKey, IsUser)}
	for _, p := range rules {
		if p.String() == strings.ReplaceAll(s, " ", "") {
			return p, nil
		}
	}
	return Permission{}, fmt.Errorf("%q is not a permission; use one of %v", s, rules)
}
