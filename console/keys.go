package console

import (
	"cmp"
	"crypto/rand"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type keysPage struct {
	Project  domain.Project
	Filter   domain.KeyFilter
	Keys     domain.List[domain.Key]
	Next     string // the address of the next page; empty: this is the last one
	Later    bool   // this is not the first page
	MayWrite bool
	Notice   string
}

// Narrowed reports whether a filter is on, so that an empty list says the right
// thing.
func (k keysPage) Narrowed() bool { return k.Filter != domain.KeyFilter{} }

func showKeys(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	page, err := domain.NewPage(0, v.QueryParam("cursor"))
	if err != nil {
		return err
	}
	filter := keyFilter(v.QueryParams())
	keys, err := p.ListKeys(v.ctx(), filter, page)
	if err != nil {
		return err
	}
	return v.keysPage(p, project, filter, keys, page)
}

func (v *visit) keysPage(
	p *service.Project, project domain.Project, filter domain.KeyFilter, keys domain.List[domain.Key], page domain.Page,
) error {
	next := ""
	if !keys.Next.IsZero() {
		next = keysURL(project, filter, keys.Next)
	}
	return v.render(newForm().status, "keys", "Keys", keysPage{
		Project: project, Filter: filter, Keys: keys, Next: next, Later: !page.After.IsZero(),
		MayWrite: p.Holds(domain.KeysWrite), Notice: v.revokedNotice(),
	})
}

// nextPage returns the address of this list from after on, or "".
func (v *visit) nextPage(after domain.Cursor) string {
	if after.IsZero() {
		return ""
	}
	query := url.Values{}
	for name, values := range v.QueryParams() {
		if values[0] != "" && name != "notice" {
			query.Set(name, values[0])
		}
	}
	query.Set("cursor", after.String())
	return v.Request().URL.Path + "?" + query.Encode()
}

func (v *visit) revokedNotice() string {
	return map[string]string{
		"revoked": "The keys are revoked. Whoever sends one is refused from now on.",
		"deleted": "The key is deleted. What it did stays in the audit log.",
	}[v.QueryParam("notice")]
}

// scopeChoice is one box on the form of a key.
type scopeChoice struct {
	Scope domain.Scope
	Why   string
	Own   bool // one of the project's own
}

// scopeMeanings says what Latchkey's own scopes let a key do.
var scopeMeanings = map[domain.Scope]string{
	domain.ProjectRead:  "see the project",
	domain.ProjectWrite: "change the project",
	domain.KeysRead:     "list keys",
	domain.KeysWrite:    "create, change and revoke keys",
	domain.KeysVerify:   "ask whether a key is good",
}

// scopeChoices are the scopes worth suggesting: Latchkey's own as far as the
// caller may give them, and what other keys of the project have.
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

type keyFormPage struct {
	Project domain.Project
	Form    form
	Scopes  []scopeChoice
}

func showNewKey(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	f := newForm("environment", string(domain.Live), "nonce", rand.Text())
	f.Values["name"] = []string{v.QueryParam("name")}
	return v.newKey(p, project, f)
}

func (v *visit) newKey(p *service.Project, project domain.Project, f form) error {
	if err := p.Require(domain.KeysWrite); err != nil {
		return err
	}
	scopes, err := v.scopeChoices(p, f.scopes())
	if err != nil {
		return err
	}
	return v.render(f.status, "key-new", "New key", keyFormPage{Project: project, Form: f, Scopes: scopes})
}

// scopes are the boxes ticked and what was typed beside them.
func (f form) scopes() []domain.Scope {
	var scopes []domain.Scope
	typed := strings.FieldsFunc(f.Get("more_scopes"), func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\r' || r == '\t' })
	for _, text := range slices.Concat(f.Values["scopes"], typed) {
		if scope := domain.Scope(text); !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// metadata reads lines of name=value; a line without "=" is a name whose value
// is empty.
func (f form) metadata() map[string]string {
	metadata := map[string]string{}
	for line := range strings.Lines(f.Get("metadata")) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name != "" || value != "" {
			metadata[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return metadata
}

func metadataText(metadata map[string]string) string {
	lines := make([]string, 0, len(metadata))
	for name, value := range metadata {
		lines = append(lines, name+"="+value)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// expiryPresets are the choices beside a date, in days from now.
var expiryPresets = map[string]int{"7": 7, "30": 30, "90": 90, "365": 365}

// today is the beginning of the day, in UTC.
func today(now time.Time) time.Time { return now.UTC().Truncate(24 * time.Hour) }

// expiry reads the preset or the date; the zero time is never. A key works
// through the whole of its last day, in UTC; so the same form, sent again a
// little later, still asks for the same.
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

// createKey answers with the token: the only page that ever shows it.
func createKey(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	f, err := v.sent()
	if err != nil {
		return err
	}
	expires, err := f.expiry(v.layout.Now, time.Time{})
	spec := domain.KeySpec{
		Name: f.Text("name"), Environment: domain.Environment(f.Get("environment")), Scopes: f.scopes(),
		ExternalID: f.Text("external_id"), Metadata: f.metadata(), ExpiresAt: expires, IdempotencyKey: domain.Hidden(f.Get("nonce")), TokenOnce: true,
	}
	var key domain.Key
	var token domain.Token
	if err == nil {
		key, token, err = p.CreateKey(v.ctx(), spec)
	}
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.newKey(p, project, f)
	}
	if token.IsZero() {
		return v.redirect(keyURL(key)) // the form was sent before
	}
	return v.keyPage(p, project, key, keyForm(key), "created", token.Reveal())
}

type keyPage struct {
	Project  domain.Project
	Key      domain.Key
	Form     form
	Scopes   []scopeChoice
	Nonce    string
	Token    string // only in the answer that made it
	Made     string // what made it: created or rotated
	DotEnv   dotEnv
	Events   []domain.Event
	MayAudit bool
	MayWrite bool
	// MayRotate says that the caller holds all that the key does: a token is not
	// for those who hold less.
	MayRotate bool
	Graces    []grace
	Notice    string
}

// grace is one choice of how long the replaced token goes on working.
type grace struct {
	Value   string
	Name    string
	Default bool
}

var graces = []grace{
	{"0s", "not at all: it ends now", false},
	{"1h0m0s", "for 1 hour", false},
	{"24h0m0s", "for 24 hours", true},
	{"168h0m0s", "for 7 days", false},
	{"720h0m0s", "for 30 days", false},
}

func showKey(v *visit) error {
	p, project, key, err := v.key()
	if err != nil {
		return err
	}
	return v.keyPage(p, project, key, keyForm(key), "", "")
}

// key returns the key in the path.
func (v *visit) key() (*service.Project, domain.Project, domain.Key, error) {
	p, project, err := v.project()
	if err != nil {
		return nil, project, domain.Key{}, err
	}
	id, err := domain.ParseID[domain.KeyID](v.Param("key"))
	if err != nil {
		return nil, project, domain.Key{}, err
	}
	key, err := p.GetKey(v.ctx(), id)
	return p, project, key, err
}

func keyForm(k domain.Key) form {
	f := newForm("name", k.Name, "external_id", k.ExternalID, "metadata", metadataText(k.Metadata), "expires", "keep").at(k.Revision)
	for _, scope := range k.Scopes {
		f.Values.Add("scopes", string(scope))
	}
	if k.ExpiresAt.IsZero() {
		f.Values.Set("expires", "never")
	}
	return f
}

func (v *visit) keyPage(p *service.Project, project domain.Project, key domain.Key, f form, made, token string) error {
	page := keyPage{
		Project: project, Key: key, Form: f, Nonce: rand.Text(), Token: token, Made: made, Graces: graces,
		MayWrite: p.Holds(domain.KeysWrite), Notice: map[string]string{
			"saved": "Saved.", "revoked": "Revoked. Whoever sends this key is refused from now on.",
		}[v.QueryParam("notice")],
	}
	page.MayRotate = !slices.ContainsFunc(key.Scopes, func(s domain.Scope) bool { return !p.Holds(s) })
	if token != "" {
		page.DotEnv = newDotEnv(token)
	}
	var err error
	if page.Scopes, err = v.scopeChoices(p, slices.Concat(key.Scopes, f.scopes())); err != nil {
		return err
	}
	o, err := v.app.Organization(v.ctx(), v.caller, project.OrganizationID)
	if err != nil {
		return err
	}
	if page.MayAudit = o.Holds(domain.AuditRead); page.MayAudit {
		events, err := o.ListEvents(v.ctx(), domain.EventFilter{Target: string(key.ID)}, domain.Page{Limit: domain.DefaultPageSize})
		if err != nil {
			return err
		}
		page.Events = events.Items
	}
	return v.render(f.status, "key", key.Name, page)
}

func updateKey(v *visit) error {
	p, project, key, err := v.key()
	if err != nil {
		return err
	}
	f, err := v.sent()
	if err != nil {
		return err
	}
	name, scopes, externalID, metadata := f.Text("name"), f.scopes(), f.Text("external_id"), f.metadata()
	expires, err := f.expiry(v.layout.Now, key.ExpiresAt)
	p.Expect(f.expects())
	if err == nil {
		_, err = p.UpdateKey(v.ctx(), key.ID, domain.KeyPatch{
			Name: &name, Scopes: &scopes, ExternalID: &externalID, Metadata: &metadata, ExpiresAt: &expires,
		})
	}
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.keyPage(p, project, key, f.at(key.Revision), "", "")
	}
	return v.redirect(keyURL(key) + "?notice=saved")
}

// rotateKey answers with the new token: the only page that ever shows it.
func rotateKey(v *visit) error {
	p, project, key, err := v.key()
	if err != nil {
		return err
	}
	f, err := v.sent()
	if err != nil {
		return err
	}
	grace, err := time.ParseDuration(cmp.Or(f.Get("grace"), domain.DefaultGrace.String()))
	if err != nil {
		grace = -1 // which is refused: a grace that cannot be read is not the default one
	}
	rotation := domain.Rotation{Grace: &grace, IdempotencyKey: domain.Hidden(f.Get("nonce")), TokenOnce: true}
	rotated, token, err := p.RotateKey(v.ctx(), key.ID, rotation)
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		shown := keyForm(key)
		shown.status, shown.Detail = f.status, f.Detail
		return v.keyPage(p, project, key, shown, "", "")
	}
	if token.IsZero() {
		return v.redirect(keyURL(key)) // the form was sent before
	}
	return v.keyPage(p, project, rotated, keyForm(rotated), "rotated", token.Reveal())
}

func revokeKey(v *visit) error {
	p, project, key, err := v.key()
	if err != nil {
		return err
	}
	f, err := v.sent()
	if err != nil {
		return err
	}
	if _, err := p.RevokeKey(v.ctx(), key.ID, f.Text("reason")); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		shown := keyForm(key)
		shown.status, shown.Detail, shown.Faults = f.status, f.Detail, f.Faults
		return v.keyPage(p, project, key, shown, "", "")
	}
	return v.redirect(keyURL(key) + "?notice=revoked")
}

func deleteKey(v *visit) error {
	p, project, key, err := v.key()
	if err != nil {
		return err
	}
	if err := p.DeleteKey(v.ctx(), key.ID); err != nil {
		return err
	}
	return v.redirect(projectURL(project) + "/keys?notice=deleted")
}

type revokeKeysPage struct {
	Project domain.Project
	Keys    []domain.Key
	Form    form
}

// showRevokeKeys asks whether the keys that were ticked are the ones meant.
func showRevokeKeys(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	return v.revokeKeysPage(p, project, v.QueryParams()["key"], newForm())
}

func (v *visit) revokeKeysPage(p *service.Project, project domain.Project, ids []string, f form) error {
	if err := p.Require(domain.KeysWrite); err != nil {
		return err
	}
	page := revokeKeysPage{Project: project, Form: f}
	for _, id := range ids[:min(len(ids), domain.MaxPageSize)] {
		key, err := p.GetKey(v.ctx(), domain.KeyID(id))
		if err != nil {
			return err
		}
		if key.RevokedAt.IsZero() {
			page.Keys = append(page.Keys, key)
		}
	}
	if len(page.Keys) == 0 {
		return v.redirect(projectURL(project) + "/keys")
	}
	return v.render(f.status, "keys-revoke", "Revoke keys", page)
}

// revokeKeys revokes one key after the other. Should one fail, those before it
// stay revoked and the page shows the rest again.
func revokeKeys(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	f, err := v.sent()
	if err != nil {
		return err
	}
	ids := f.Values["key"]
	for _, id := range ids[:min(len(ids), domain.MaxPageSize)] {
		if _, err := p.RevokeKey(v.ctx(), domain.KeyID(id), f.Text("reason")); err != nil {
			if err := f.refuse(err); err != nil {
				return err
			}
			return v.revokeKeysPage(p, project, ids, f)
		}
	}
	return v.redirect(projectURL(project) + "/keys?notice=revoked")
}
