package api_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/domain"
)

// Limits of the contract that domain has, too, besides the lengths of texts that
// TestLimitsAgreeOnTexts finds by itself.
var sameLimits = map[string]int{
	"CreateOrUpdateKeyRequest/scopes/maxItems":        domain.MaxScopes,
	"CreateOrUpdateKeyRequest/metadata/maxProperties": domain.MaxMetadataEntries,
	"CreateOrUpdateKeyRequest/allowed_ips/maxItems":   domain.MaxNetworks,
	"RevokeKeyRequest/reason/maxLength":               domain.MaxReasonLength,
	"RotateKeyRequest/grace_seconds/maximum":          int(domain.MaxGrace.Seconds()),
	"ImportKeysRequest/keys/maxItems":                 domain.MaxImportRows,
	"CreateOrUpdatePlanRequest/limits/maxItems":       domain.MaxLimits,
	"CreateOrUpdateWebhookRequest/url/maxLength":      domain.MaxWebhookURL,
	"CreateOrUpdateWebhookRequest/events/maxItems":    len(domain.WebhookEvents),
	"RequestedLimit/limit/maximum":                    domain.MaxUnits,
	"RequestedLimit/burst/maximum":                    domain.MaxUnits,
	"RequestedLimit/initial/maximum":                  domain.MaxUnits,
	"RequestedLimit/cost/maximum":                     domain.MaxUnits,
	"RequestedLimit/time_zone/maxLength":              domain.MaxTimeZoneLength,
	"RequestedRefill/amount/maximum":                  domain.MaxUnits,
	"RequestedRefill/maximum/maximum":                 domain.MaxUnits,
	"VerifyKeyRequest/tag/maxLength":                  domain.MaxTagLength,
	"GrantCreditsRequest/external_id/maxLength":       domain.MaxExternalIDLength,
	"GrantCreditsRequest/amount/maximum":              domain.MaxUnits,
	"GrantCreditsRequest/reason/maxLength":            domain.MaxReasonLength,
	"RefundCreditsRequest/external_id/maxLength":      domain.MaxExternalIDLength,
	"RefundCreditsRequest/amount/maximum":             domain.MaxUnits,
	"RefundCreditsRequest/reason/maxLength":           domain.MaxReasonLength,
	"SignUpRequest/name/maxLength":                    domain.MaxNameLength,
	"UpdateMeRequest/name/maxLength":                  domain.MaxNameLength,
}

// A limit that the contract and domain both have is the same number.
func TestLimitsAgree(t *testing.T) {
	t.Parallel()
	limits := map[string]int{}
	for at, want := range sameLimits {
		rest, both := strings.CutPrefix(at, "CreateOrUpdate")
		if both {
			at = "Create" + rest
			limits["Update"+rest] = want
		}
		limits[at] = want
	}
	for at, want := range limits {
		parts := strings.Split(at, "/")
		schema := contract().Components.Schemas[parts[0]].Value.Properties[parts[1]].Value
		got := map[string]uint64{
			"maxLength": value(schema.MaxLength), "maxItems": value(schema.MaxItems), "maxProperties": value(schema.MaxProps),
			"maximum": uint64(value(schema.Max)),
		}[parts[2]]
		if got != uint64(want) {
			t.Errorf("%s is %d, want %d", at, got, want)
		}
	}
}

// patches are what domain makes of the bodies that create and update a resource.
var patches = map[string]any{
	"Key":          domain.KeyPatch{},
	"Organization": domain.OrganizationPatch{},
	"Plan":         domain.PlanPatch{},
	"Project":      domain.ProjectPatch{},
}

// Every text of a resource is as long in domain as the contract allows, and no
// longer, so the command line and the console refuse what the API refuses.
func TestLimitsAgreeOnTexts(t *testing.T) {
	t.Parallel()
	tried := 0
	for resource, patch := range patches {
		for _, verb := range []string{"Create", "Update"} {
			for name, property := range contract().Components.Schemas[verb+resource+"Request"].Value.Properties {
				most := property.Value.MaxLength
				if most == nil {
					continue
				}
				tried++
				for n, good := range map[int]bool{int(*most): true, int(*most) + 1: false} {
					if err := applyText(patch, name, text(name, property.Value, n)); (err == nil) != good {
						t.Errorf("%s of a %s in domain with %d characters, of which %s allows %d: got %v",
							name, resource, n, verb, *most, err)
					}
				}
			}
		}
	}
	if tried < 10 {
		t.Errorf("only %d texts were tried", tried)
	}
}

// applyText applies a patch of one text, which the contract calls name.
func applyText(patch any, name, text string) error {
	p := reflect.New(reflect.TypeOf(patch)).Elem()
	field := p.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, strings.ReplaceAll(name, "_", "")) })
	if !field.IsValid() {
		return fmt.Errorf("%T has no field for %s", patch, name)
	}
	value := reflect.New(field.Type().Elem())
	value.Elem().SetString(text)
	field.Set(value)
	apply := p.MethodByName("Apply")
	err, _ := reflect.TypeAssert[error](apply.Call([]reflect.Value{reflect.Zero(apply.Type().In(0))})[1])
	return err
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// text is a good value of so many characters for a field, most of which take
// several bytes where the field allows it.
func text(name string, schema *openapi3.Schema, n int) string {
	switch {
	case n == 0:
		return ""
	case schema.Format == "email":
		local := min(64, max(1, n-6))
		domains := strings.Repeat("d", max(0, n-local-1))
		labels := []byte(domains)
		for i := 60; i < len(labels)-1; i += 60 {
			labels[i] = '.'
		}
		if len(labels) > 3 {
			labels[len(labels)-3] = '.'
		}
		return strings.Repeat("l", local) + "@" + string(labels)
	case schema.Format == "password":
		letters := make([]rune, n)
		for i := range letters {
			letters[i] = rune('à' + rand.IntN(24))
		}
		return string(letters)
	case name == "audience":
		return "https://" + strings.Repeat("a", n-8)
	case name == "url":
		return "https://example.com/" + strings.Repeat("a", n-20)
	case name == "ip":
		return strings.Repeat("0", n-45) + "1111:2222:3333:4444:5555:6666:123.123.123.123"
	case strings.Contains(schema.Pattern, ":"): // a scope
		return strings.Repeat("r", 32) + ":" + strings.Repeat("a", n-33)
	case schema.Pattern != "" || name == "token" || name == "refresh_token" || name == "cursor":
		return strings.Repeat("a", n)
	}
	return strings.Repeat("é", n)
}

// probe is a value of a field, and whether its limit allows it.
type probe struct {
	value any
	good  bool
}

// probes returns the values at each bound of a field and one beyond it.
func probes(name string, s *openapi3.Schema) (all []probe) {
	switch {
	case s.Enum != nil || s.Format == "date-time":
	case s.Type.Is(openapi3.TypeString):
		if s.MaxLength != nil {
			most := int(*s.MaxLength)
			all = append(all, probe{text(name, s, most), true}, probe{text(name, s, most+1), false})
		}
		if least := int(s.MinLength); least > 0 {
			all = append(all, probe{text(name, s, least-1), false})
			if s.Format != "email" { // no address is that short, which domain says
				all = append(all, probe{text(name, s, least), true})
			}
		}
	case s.Type.Is(openapi3.TypeInteger):
		least, most := int(*s.Min), int(*s.Max)
		all = append(all, probe{least, true}, probe{most, true}, probe{least - 1, false}, probe{most + 1, false})
	case name == "limits":
		limits := make([]map[string]any, *s.MaxItems+1)
		for i := range limits {
			limits[i] = map[string]any{"name": fmt.Sprintf("a%d", i), "type": "quota", "limit": nil}
		}
		all = append(all, probe{limits[1:], true}, probe{limits, false})
	case name == "allowed_ips":
		networks := make([]string, *s.MaxItems+1)
		for i := range networks {
			networks[i] = fmt.Sprintf("203.0.113.%d", i)
		}
		all = append(all, probe{networks[1:], true}, probe{networks, false}, probe{[]string{"203.0.113.1/24"}, false})
	case name == "events":
		all = append(all, probe{domain.WebhookEvents, true}, probe{append(slices.Clone(domain.WebhookEvents), domain.EveryEvent), false})
	case name == "cost":
		costs := map[string]int{}
		for i := range *s.MaxProps {
			costs[fmt.Sprintf("a%d", i)] = domain.MaxUnits
		}
		more := maps.Clone(costs)
		more["more"] = 1
		long := strings.Repeat("a", 32)
		all = append(all, probe{costs, true}, probe{more, false},
			probe{map[string]int{long: 0}, true}, probe{map[string]int{long + "a": 0}, false},
			probe{map[string]int{"": 1}, false}, probe{map[string]int{"A": 1}, false},
			probe{map[string]int{"a": domain.MaxUnits + 1}, false},
			probe{map[string]int{"a": int(*s.AdditionalProperties.Schema.Value.Min) - 1}, false})
	case name == "uses":
		uses := make([]map[string]any, *s.MaxItems+1)
		for i := range uses {
			uses[i] = map[string]any{"token_id": "vF7U4YOYLkq6", "count": 1, "last_at": "2026-03-02T09:35:00Z"}
		}
		all = append(all, probe{uses[1:], true}, probe{uses, false})
	case s.Type.Is(openapi3.TypeArray) && s.MaxItems != nil && *s.MaxItems <= 1000:
		scopes := make([]string, *s.MaxItems+1)
		for i := range scopes {
			scopes[i] = fmt.Sprintf("documents:a%d", i)
		}
		all = append(all, probe{scopes[1:], true}, probe{scopes, false})
	case s.Type.Is(openapi3.TypeObject) && s.MaxProps != nil:
		entries := map[string]string{}
		for i := range *s.MaxProps {
			entries[fmt.Sprintf("%d%s", 10+i, strings.Repeat("é", domain.MaxMetadataKeyLength-2))[:domain.MaxMetadataKeyLength-8]] = ""
		}
		more := maps.Clone(entries)
		more["one more"] = ""
		long := strings.Repeat("é", domain.MaxMetadataKeyLength)
		full := map[string]string{"a": strings.Repeat("b", domain.MaxMetadataBytes-1)}
		over := map[string]string{"a": strings.Repeat("b", domain.MaxMetadataBytes)}
		all = append(all, probe{entries, true}, probe{more, false}, probe{full, true}, probe{over, false},
			probe{map[string]string{long: "x"}, true},
			probe{map[string]string{long + "é": "x"}, false}, probe{map[string]string{"": "x"}, false})
	}
	return all
}

// Every limit of every body takes what is at the limit and refuses what is one
// beyond it, by naming the field.
func TestLimitsOfBodies(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tried := 0
	bodies(func(method, path string, op *openapi3.Operation, schema *openapi3.Schema) {
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			for _, p := range probes(name, schema.Properties[name].Value) {
				tried++
				body := map[string]any{name: p.value}
				for _, other := range schema.Required {
					if other != name {
						body[other] = schema.Properties[other].Value.Example
					}
				}
				address := fill(t, path, s.ids(t, s.home, path, s.home.owner))
				got := s.call(t, method, address, s.caller(op), body)
				refused := got.status == http.StatusUnprocessableEntity &&
					slices.ContainsFunc(fieldsOf(t, got), func(f domain.FieldError) bool {
						return f.Pointer == "/"+name || strings.HasPrefix(f.Pointer, "/"+name+"/")
					})
				if refused == p.good || got.status >= 500 {
					t.Errorf("%s, %s of %.60q: got %d %s, want it taken: %v", op.OperationID, name, fmt.Sprint(p.value), got.status,
						got.body, p.good)
				}
			}
		}
	})
	if tried < 100 {
		t.Errorf("only %d values were tried", tried)
	}
}

// Every limit of every query takes what is at the limit and refuses what is one
// beyond it.
func TestLimitsOfQueries(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tried := 0
	for path, item := range contract().Paths.Map() {
		for method, op := range item.Operations() {
			for _, ref := range op.Parameters {
				if ref.Value.In != openapi3.ParameterInQuery {
					continue
				}
				name := ref.Value.Name
				for _, p := range probes(name, ref.Value.Schema.Value) {
					tried++
					address := fill(t, path, s.ids(t, s.home, path, s.home.owner)) + "?" + name + "=" + url.QueryEscape(fmt.Sprint(p.value))
					got := s.call(t, method, address, s.home.owner.as, nil)
					formed := slices.Contains([]string{"cursor", "action", "created_by"}, name) // domain says what else it must be
					tooLong := got.status == http.StatusUnprocessableEntity && strings.Contains(string(got.body), "characters")
					if formed && p.good && tooLong || !formed && (got.status == http.StatusUnprocessableEntity) == p.good ||
						got.status >= 500 {
						t.Errorf("%s, %s of %.60q: got %d %s, want it taken: %v", op.OperationID, name, fmt.Sprint(p.value), got.status,
							got.body, p.good)
					}
				}
			}
		}
	}
	if tried < 50 {
		t.Errorf("only %d values were tried", tried)
	}
}
