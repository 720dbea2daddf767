package console

import (
	"cmp"
	"crypto/rand"
	"net/url"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type keysPage struct {
	Project  domain.Project
	Filter   domain.KeyFilter
	Keys     domain.List[domain.Key]
	Next     string // URL of the next page; empty on the last one
	Later    bool   // this is not the first page
	MayWrite bool
	Notice   string
	Plan     domain.Plan            // of the filter
	Sparks   map[domain.KeyID]chart // the last 30 days of the keys that were used then
}

// Used returns which choice of use the filter is.
func (k keysPage) Used() string { return usedField(k.Filter) }

// Narrowed reports whether a filter is set, so that an empty list shows the right
// text.
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
	filter := v.keyFilter(v.QueryParams())
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
	sparks, err := v.sparks(p, keys.Items)
	if err != nil {
		return err
	}
	var plan domain.Plan
	if filter.PlanID != "" {
		if plan, err = p.GetPlan(v.ctx(), filter.PlanID); err != nil {
			return err
		}
	}
	return v.render(done, "keys", "Keys", keysPage{
		Project:  project,
		Filter:   filter,
		Keys:     keys,
		Next:     next,
		Later:    !page.After.IsZero(),
		MayWrite: p.Holds(domain.KeysWrite),
		Notice:   v.revokedNotice(),
		Plan:     plan,
		Sparks:   sparks,
	})
}

// nextPage returns the URL of this list after the cursor, or "" without one.
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
		"revoked": "The keys are revoked. Requests with them are refused from now on.",
		"deleted": "The key is deleted. What it did stays in the audit log.",
	}[v.QueryParam("notice")]
}

type keyFormPage struct {
	Project domain.Project
	Form    form
	Scopes  []scopeChoice
	Plans   []domain.Plan
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
	if err := p.Authorize(domain.KeysWrite); err != nil {
		return err
	}
	scopes, err := v.scopeChoices(p, f.scopes())
	if err != nil {
		return err
	}
	plans, err := v.plans(p)
	if err != nil {
		return err
	}
	return v.render(f.status, "key-new", "New key", keyFormPage{Project: project, Form: f, Scopes: scopes, Plans: plans})
}

// createKey answers with the token. No other page shows it.
func createKey(v *visit, p *service.Project, project domain.Project, f form) error {
	expires, err := f.expiry(v.layout.Now, time.Time{})
	spec := domain.KeySpec{
		Name:           f.Text("name"),
		Environment:    domain.Environment(f.Get("environment")),
		Scopes:         f.scopes(),
		ExternalID:     f.Text("external_id"),
		Metadata:       f.metadata(),
		AllowedIPs:     f.networks(),
		ExpiresAt:      expires,
		PlanID:         domain.PlanID(f.Get("plan_id")),
		IdempotencyKey: domain.Hidden(f.Get("nonce")),
		TokenOnce:      true,
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
		return v.redirect(keyURL(key)) // the form was already sent
	}
	return v.keyPage(p, project, key, keyForm(key), "created", token.Reveal())
}

func updateKey(a keyAction) error {
	f := a.form
	expires, err := f.expiry(a.layout.Now, a.key.ExpiresAt)
	a.handle.Expect(f.expects())
	if err == nil {
		_, err = a.handle.UpdateKey(a.ctx(), a.key.ID, domain.KeyPatch{
			Name:       new(f.Text("name")),
			Scopes:     new(f.scopes()),
			ExternalID: new(f.Text("external_id")),
			Metadata:   new(f.metadata()),
			AllowedIPs: new(f.networks()),
			ExpiresAt:  &expires,
			PlanID:     f.planID(),
		})
	}
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return a.keyPage(a.handle, a.project, a.key, f.at(a.key.Revision), "", "") // with what was entered
	}
	return a.redirect(keyURL(a.key) + "?notice=saved")
}

// rotateKey answers with the new token. No other page shows it.
func rotateKey(a keyAction) error {
	grace, err := time.ParseDuration(cmp.Or(a.form.Get("grace"), domain.DefaultGrace.String()))
	if err != nil {
		grace = -1 // the service refuses it: an invalid grace must not become the default
	}
	rotation := domain.Rotation{Grace: &grace, IdempotencyKey: domain.Hidden(a.form.Get("nonce")), TokenOnce: true}
	rotated, token, err := a.handle.RotateKey(a.ctx(), a.key.ID, rotation)
	if err != nil {
		return a.refused(err)
	}
	if token.IsZero() {
		return a.redirect(keyURL(a.key)) // the form was already sent
	}
	return a.keyPage(a.handle, a.project, rotated, keyForm(rotated), "rotated", token.Reveal())
}

func revokeKey(a keyAction) error {
	if _, err := a.handle.RevokeKey(a.ctx(), a.key.ID, a.form.Text("reason")); err != nil {
		return a.refused(err)
	}
	return a.redirect(keyURL(a.key) + "?notice=revoked")
}

func deleteKey(a keyAction) error {
	if err := a.handle.DeleteKey(a.ctx(), a.key.ID); err != nil {
		return err
	}
	return a.redirect(projectURL(a.project) + "/keys?notice=deleted")
}

type revokeKeysPage struct {
	Project domain.Project
	Keys    []domain.Key
	Form    form
}

// showRevokeKeys lists the selected keys and asks for confirmation.
func showRevokeKeys(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	return v.revokeKeysPage(p, project, v.QueryParams()["key"], newForm())
}

func (v *visit) revokeKeysPage(p *service.Project, project domain.Project, ids []string, f form) error {
	if err := p.Authorize(domain.KeysWrite); err != nil {
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

// revokeKeys revokes one key after the other. When one fails, those before it
// stay revoked and the page shows the rest again.
func revokeKeys(v *visit, p *service.Project, project domain.Project, f form) error {
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
