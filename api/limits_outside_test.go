package api_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/domain"
)

// Limits of headers that domain has, too.
var sameHeaders = map[string]func(string) bool{
	"Idempotency-Key": func(s string) bool { return domain.ValidateIdempotencyKey(s) == "" },
}

// headerProbes are values of a header at each bound of its schema and one beyond it.
func headerProbes(name string, s *openapi3.Schema) (all []probe) {
	fits := func(n int) string {
		if name == "If-Match" { // a list of tags, of which none is current
			return strings.Repeat(` "98765432",`, n/12) + strings.Repeat(" ", n%12)
		}
		return strings.Repeat("~", n)
	}
	most, least := int(value(s.MaxLength)), int(s.MinLength)
	all = append(all, probe{fits(most), true}, probe{fits(most + 1), false})
	if least > 0 {
		all = append(all, probe{fits(least), true}, probe{fits(least - 1), false})
	}
	if s.Pattern != "" {
		body := strings.Repeat("~", least)
		all = append(all, probe{body + " ~", false}, probe{body + "!", true}, probe{body + "\u00e9", false}, probe{body + "\x7f", false})
	}
	return all
}

// Every limit of every header takes what is at the limit and refuses what is one
// beyond it, by naming the header; and domain agrees where it has the limit, too.
func TestLimitsOfHeaders(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tried := map[string]int{}
	for path, item := range contract().Paths.Map() {
		for method, op := range item.Operations() {
			for _, ref := range op.Parameters {
				name := ref.Value.Name
				if ref.Value.In != openapi3.ParameterInHeader {
					continue
				}
				for _, p := range headerProbes(name, ref.Value.Schema.Value) {
					tried[name]++
					text, _ := p.value.(string)
					address, as, body := s.request(t, op.OperationID, path, "owner")
					got := s.call(t, method, address, both(as, func(h http.Header) { h.Set(name, text) }), body)
					refused := got.status == http.StatusUnprocessableEntity &&
						slices.ContainsFunc(fieldsOf(t, got), func(f domain.FieldError) bool { return f.Pointer == name })
					if refused == p.good || got.status >= 500 {
						t.Errorf("%s, %s of %d characters, %.20q: got %d %s, want it taken: %v", op.OperationID, name, len(text), text,
							got.status, got.body, p.good)
					}
					if valid, has := sameHeaders[name]; has && valid(text) != p.good {
						t.Errorf("domain takes %s of %d characters, %.20q: %v, want %v", name, len(text), text, valid(text), p.good)
					}
				}
			}
		}
	}
	if names := slices.Sorted(maps.Keys(tried)); !slices.Equal(names, []string{"Idempotency-Key", "If-Match"}) {
		t.Errorf("the headers %v were tried", names)
	}
}

// ids parses an id of each kind as domain does.
var ids = map[string]func(string) error{
	"usr": parsed[domain.UserID], "org": parsed[domain.OrganizationID], "prj": parsed[domain.ProjectID], "key": parsed[domain.KeyID],
	"ses": parsed[domain.SessionID], "inv": parsed[domain.InvitationID], "evt": parsed[domain.EventID], "pln": parsed[domain.PlanID],
	"whk": parsed[domain.WebhookID],
}

func parsed[T domain.ID](s string) error {
	_, err := domain.ParseID[T](s)
	return err
}

// Every id in a path has a form on which the contract and domain agree, at each of
// its bounds and one beyond: length, first character, alphabet and prefix. An id of
// another form is not found, as one of that form which nothing has: the answers are
// alike.
func TestLimitsOfPaths(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const most = "7zzzzzzzzzzzzzzzzzzzzzzzzz"
	bodies := map[string]bool{
		most: true, "0" + most[1:]: true, "00000000000000000000000001": true, "8" + most[1:]: false, most[1:]: false, most + "z": false,
		"7i" + most[2:]: false, "7l" + most[2:]: false, "7o" + most[2:]: false, "7u" + most[2:]: false, "7Z" + most[2:]: false,
		"7-" + most[2:]: false, "7%C3%A9" + most[2:]: false, "7" + most[2:] + "%0A": false, "": false,
	}
	tried := 0
	for path, item := range contract().Paths.Map() {
		for method, op := range item.Operations() {
			for _, ref := range op.Parameters {
				if ref.Value.In != openapi3.ParameterInPath || slices.Contains([]string{"name", "scopes", "token_id"}, ref.Value.Name) {
					// They are no ids; a token is named by the public part of its own form.
					continue
				}
				name, pattern := ref.Value.Name, regexp.MustCompile(ref.Value.Schema.Value.Pattern)
				kind := strings.TrimPrefix(pattern.String(), "^")[:3]
				if ids[kind] == nil {
					t.Errorf("%s: domain has no ids of the kind %s", op.OperationID, kind)
					continue
				}
				_, as, sent := s.request(t, op.OperationID, path, "owner")
				known := s.ids(t, s.home, path, s.home.owner)
				for body, good := range bodies {
					tried++
					id := kind + "_" + body
					if pattern.MatchString(id) != good || ids[kind](id) == nil != good {
						t.Errorf("%s: %s is an id for the contract: %v, for domain: %v, want %v", op.OperationID, id,
							pattern.MatchString(id), ids[kind](id) == nil, good)
					}
					if body == "" {
						continue // another path
					}
					known["{"+name+"}"] = id
					status, code := http.StatusNotFound, domain.CodeNotFound
					if op.OperationID == "forwardAuth" { // the mistake is the proxy's, and nginx knows no 404
						status, code = http.StatusForbidden, domain.CodeMisconfigured
					}
					s.call(t, method, fill(t, path, known), as, sent).fails(t, status, code)
				}
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d ids were tried", tried)
	}
}
