package console

import (
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

func keyForm(k domain.Key) form {
	f := newForm("name", k.Name, "external_id", k.ExternalID, "metadata", metadataText(k.Metadata), "allowed_ips",
		networksText(k.AllowedIPs), "expires", "keep",
		"plan_id", string(k.Plan.ID)).at(k.Revision)
	for _, scope := range k.Scopes {
		f.Values.Add("scopes", string(scope))
	}
	if k.ExpiresAt.IsZero() {
		f.Values.Set("expires", "never")
	}
	return f
}

// scopeChoice is one checkbox on the form of a key.
type scopeChoice struct {
	Scope domain.Scope
	Why   string
	Own   bool // one of the project's own
}

// scopeMeanings describes what Latchkey's own scopes allow a key to do.
var scopeMeanings = map[domain.Scope]string{
	domain.ProjectRead:  "see the project",
	domain.ProjectWrite: "change the project",
	domain.KeysRead:     "list keys",
	domain.KeysWrite:    "create, change and revoke keys",
	domain.KeysVerify:   "ask whether a key is good",
	domain.UsageRead:    "see how often keys are used",
	domain.LimitsRead:   "see plans and limits",
	domain.LimitsWrite:  "change plans and limits",
	domain.WebhooksRead: "see webhooks and their deliveries",
}

// scopeChoices returns the scopes to suggest: Latchkey's own that the caller may
// give, and those that other keys of the project have.
func (v *visit) scopeChoices(p *service.Project, have []domain.Scope) ([]scopeChoice, error) {
	recent, err := p.ListKeys(v.ctx(), domain.KeyFilter{}, domain.Page{Limit: domain.DefaultPageSize})
	if err != nil {
		return nil, err
	}
	var own []domain.Scope
	for _, key := range append(recent.Items, domain.Key{Scopes: have}) {
		for _, scope := range key.Scopes {
			if !slices.Contains(domain.KeyScopes, scope) && domain.ValidateScope(scope) == "" {
				own = append(own, scope)
			}
		}
	}
	slices.Sort(own)
	var choices []scopeChoice
	for _, scope := range slices.Concat(slices.Compact(own), domain.KeyScopes) {
		if p.Holds(scope) || slices.Contains(have, scope) {
			choices = append(choices, scopeChoice{scope, scopeMeanings[scope], scopeMeanings[scope] == ""})
		}
	}
	return choices, nil
}

// scopes returns the selected scopes and those typed into the text field.
func (f form) scopes() []domain.Scope {
	var scopes []domain.Scope
	for _, text := range slices.Concat(f.Values["scopes"], f.words("more_scopes")) {
		if scope := domain.Scope(text); !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// words returns the words of a text field, which spaces, commas or lines separate.
func (f form) words(name string) []string {
	return strings.FieldsFunc(f.Get(name), func(r rune) bool { return strings.ContainsRune(" ,\n\r\t", r) })
}

// planID returns the plan that was chosen, or nil if there was none to choose.
func (f form) planID() *domain.PlanID {
	if !f.Values.Has("plan_id") {
		return nil
	}
	return new(domain.PlanID(f.Get("plan_id")))
}

// metadata reads lines of name=value. A line without "=" is a name with an empty
// value.
func (f form) metadata() map[string]string {
	metadata := map[string]string{}
	for line := range strings.Lines(f.Get("metadata")) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name != "" || value != "" {
			metadata[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return metadata
}

// networks reads networks that are separated by spaces, commas or lines.
func (f form) networks() (networks []domain.Network) {
	for _, text := range f.words("allowed_ips") {
		networks = append(networks, domain.Network(text))
	}
	return networks
}

func networksText(networks []domain.Network) string {
	var text strings.Builder
	for _, n := range networks {
		text.WriteString(string(n) + "\n")
	}
	return text.String()
}

func metadataText(metadata map[string]string) string {
	lines := make([]string, 0, len(metadata))
	for name, value := range metadata {
		lines = append(lines, name+"="+value)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// expiryPresets are the choices other than a date, in days from now.
var expiryPresets = map[string]int{"7": 7, "30": 30, "90": 90, "365": 365}

// today returns the beginning of the day, in UTC.
func today(now time.Time) time.Time { return now.UTC().Truncate(24 * time.Hour) }

// expiry reads the preset or the date; the zero time means never. A key works
// until the end of its last day, in UTC, so the same form sent again a little
// later asks for the same expiry.
func (f form) expiry(now, kept time.Time) (time.Time, error) {
	choice := f.Get("expires")
	switch choice {
	case "", "never":
		return time.Time{}, nil
	case "keep":
		return kept, nil
	}
	if days, ok := expiryPresets[choice]; ok {
		return today(now).AddDate(0, 0, days+1), nil
	}
	day, err := time.Parse(time.DateOnly, f.Get("expires_on"))
	if err != nil {
		return time.Time{}, &domain.Error{
			Code:   domain.CodeValidationFailed,
			Fields: []domain.FieldError{{Pointer: "/expires_at", Detail: "must be a date, such as 2027-01-31"}},
		}
	}
	return day.AddDate(0, 0, 1), nil
}
