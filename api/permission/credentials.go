package permission

import (
	"fmt"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
)

// credentials is a set of the kinds of credential that a caller can prove. It has
// four values, and every rule is a function of it.
type credentials uint8

const (
	aKey credentials = 1 << iota
	aUser

	nothing credentials = 0
	both                = aKey | aUser
)

// proved returns the credentials that the caller has proved. The principal of the
// command line has no credential, so no rule admits it.
func proved(caller domain.Principal) (c credentials) {
	if _, ok := caller.ProvenKey(); ok {
		c |= aKey
	}
	if caller.HasUser() {
		c |= aUser
	}
	return c
}

// verdict evaluates the rule.
func (p Permission) verdict(c credentials) Verdict {
	switch p.op {
	case public:
		return Allowed
	case leaf:
		switch {
		case c == nothing:
			return Unknown
		case c&p.leaf == 0:
			return Denied
		}
		return Allowed
	case not:
		return -p.operands[0].verdict(c)
	case anyOf:
		v := Denied
		for _, operand := range p.operands {
			v = max(v, operand.verdict(c))
		}
		return v
	case allOf:
		v := Allowed
		for _, operand := range p.operands {
			v = min(v, operand.verdict(c))
		}
		return v
	}
	return Denied
}

// ambiguous reports whether c has two credentials although no branch of the rule
// that holds names both.
func (p Permission) ambiguous(c credentials) bool {
	return c == both && p.op != public && !slices.Contains(p.branches(true), both)
}

// branches expands the rule, or its negation, into a disjunction of conjunctions.
// It takes those that hold for a caller who proved both credentials, and returns
// the credentials that each of them names. None of them has a negated leaf, because
// it would not hold.
func (p Permission) branches(affirmed bool) []credentials {
	switch p.op {
	case forgotten, public:
		return nil
	case leaf:
		if !affirmed {
			return nil
		}
		return []credentials{p.leaf}
	case not:
		return p.operands[0].branches(!affirmed)
	}

	if (p.op == anyOf) == affirmed { // De Morgan: the negation of an All is an Any
		var sum []credentials
		for _, operand := range p.operands {
			sum = append(sum, operand.branches(affirmed)...)
		}
		return sum
	}
	product := []credentials{nothing}
	for _, operand := range p.operands {
		var next []credentials
		for _, left := range product {
			for _, right := range operand.branches(affirmed) {
				next = append(next, left|right)
			}
		}
		product = next
	}
	return product
}

// Scheme is the name of a security scheme in openapi.yaml.
type Scheme string

// The security schemes: a key in its own header, a key in the Authorization
// header, a user's access token in the Authorization header.
const (
	APIKeyHeader        Scheme = "ApiKeyHeader"
	APIKeyAuthorization Scheme = "ApiKeyAuthorization"
	BearerJWT           Scheme = "BearerJWT"
)

// ways are the sets of credentials that can be sent, in words and as schemes. A key
// together with an access token is sent in its own header, because a request has
// only one Authorization.
var ways = []struct {
	credentials credentials
	words       string
	schemes     [][]Scheme
}{
	{aKey, "an API key", [][]Scheme{{APIKeyHeader}, {APIKeyAuthorization}}},
	{aUser, "a user's access token", [][]Scheme{{BearerJWT}}},
	{both, "an API key together with a user's access token", [][]Scheme{{APIKeyHeader, BearerJWT}}},
}

func (p Permission) admits(c credentials) bool { return p.verdict(c) == Allowed && !p.ambiguous(c) }

// enough is the sentence that says what a refused caller must send.
func (p Permission) enough() string {
	var words []string
	for _, way := range ways {
		if p.admits(way.credentials) {
			words = append(words, way.words)
		}
	}
	if words == nil {
		return "No credentials are: the rule of this route admits no one."
	}
	return "Send " + strings.Join(words, ", or ") + "."
}

// Security returns the rule as an OpenAPI security requirement: alternatives,
// each a set of schemes that must be sent together. They are exactly what Admit
// admits. Public gives an empty list, which means public in OpenAPI. A rule that
// admits no one is therefore an error, and never an empty list.
func (p Permission) Security() ([][]Scheme, error) {
	alternatives := [][]Scheme{}
	if p.op == public {
		return alternatives, nil
	}
	for _, way := range ways {
		if p.admits(way.credentials) {
			alternatives = append(alternatives, way.schemes...)
		}
	}
	if len(alternatives) == 0 {
		return nil, fmt.Errorf("the permission %s admits no one", p)
	}
	return alternatives, nil
}
