package console

import (
	"crypto/rand"
	"slices"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type keyPage struct {
	Project  domain.Project
	Key      domain.Key
	Form     form
	Scopes   []scopeChoice
	Plans    []domain.Plan
	Nonce    string
	Token    string // only in the answer that issued it
	Made     string // how it was issued: created or rotated
	DotEnv   dotEnv
	Events   []domain.Event
	MayAudit bool
	MayWrite bool
	// MayRotate reports whether the caller holds every scope of the key: a caller
	// who holds less must not get its token.
	MayRotate bool
	Graces    []grace
	Notice    string
	Usage     chart
	Rows      []usageRow // the same as a table
	Used      bool       // in the last 30 days
	Limits    []limitRow
	Credits   bool // some of the limits are credits
}

// grace is one choice of how long the replaced token keeps working.
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

// keyAction is a form about one key, sent by a browser.
type keyAction struct {
	*visit

	handle  *service.Project
	project domain.Project
	key     domain.Key
	form    form
}

// onKey returns the handler of a form about the key in the path.
func onKey(act func(keyAction) error) func(*visit) error {
	return func(v *visit) error {
		p, project, key, err := v.key()
		if err != nil {
			return err
		}
		f, err := v.sent()
		if err != nil {
			return err
		}
		return act(keyAction{
			visit:   v,
			handle:  p,
			project: project,
			key:     key,
			form:    f,
		})
	}
}

// refused shows the key again, with what was wrong with the form.
func (a keyAction) refused(err error) error {
	if err := a.form.refuse(err); err != nil {
		return err
	}
	shown := keyForm(a.key)
	shown.status, shown.Detail, shown.Faults = a.form.status, a.form.Detail, a.form.Faults
	return a.keyPage(a.handle, a.project, a.key, shown, "", "")
}

func (v *visit) keyPage(p *service.Project, project domain.Project, key domain.Key, f form, made, token string) error {
	page := keyPage{
		Project:  project,
		Key:      key,
		Form:     f,
		Nonce:    rand.Text(),
		Token:    token,
		Made:     made,
		Graces:   graces,
		MayWrite: p.Holds(domain.KeysWrite),
		Notice: map[string]string{
			"saved": "Saved.", "revoked": "Revoked. Requests with this key are refused from now on.",
			"granted": grantedNotice["granted"], "taken": grantedNotice["taken"],
		}[v.QueryParam("notice")],
	}
	page.MayRotate = !slices.ContainsFunc(key.Scopes, func(s domain.Scope) bool { return !p.Holds(s) })
	if token != "" {
		page.DotEnv = newDotEnv(token)
	}
	period := usagePeriods[defaultPeriod]
	usage, err := p.Usage(v.ctx(), domain.UsageQuery{
		Since: period.start(v.layout.Now, 0), Interval: period.interval, KeyID: key.ID, Limit: domain.MaxPageSize,
	})
	if err != nil {
		return err
	}
	page.Usage, page.Used = usageChart(usage.Items, period, v.layout.Now), len(usage.Items) > 0
	page.Rows = usageRows(usage.Items, period)
	if page.Limits, err = v.limitRows(p, project, key); err != nil {
		return err
	}
	page.Credits = slices.ContainsFunc(page.Limits, func(r limitRow) bool { return r.Credits })
	if page.Scopes, err = v.scopeChoices(p, slices.Concat(key.Scopes, f.scopes())); err != nil {
		return err
	}
	if page.Plans, err = v.plans(p); err != nil {
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
