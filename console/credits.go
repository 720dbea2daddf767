package console

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type creditsPage struct {
	Project    domain.Project
	KeyID      string // filters
	ExternalID string
	Entries    domain.List[domain.CreditEntry]
	Next       string
	Later      bool
	Export     string // URL of the same entries as CSV
}

func (v *visit) creditFilter() domain.CreditFilter {
	return domain.CreditFilter{KeyID: domain.KeyID(v.QueryParam("key")), ExternalID: v.QueryParam("external_id")}
}

func showCredits(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	page, err := domain.NewPage(0, v.QueryParam("cursor"))
	if err != nil {
		return err
	}
	filter := v.creditFilter()
	entries, err := p.ListCreditEntries(v.ctx(), filter, page)
	if err != nil {
		return err
	}
	v.at("Customers")
	return v.render(done, "credits", "Credits", creditsPage{
		Project:    project,
		KeyID:      string(filter.KeyID),
		ExternalID: filter.ExternalID,
		Entries:    entries,
		Next:       v.nextPage(entries.Next),
		Later:      !page.After.IsZero(),
		Export:     projectURL(project) + "/credits/export?" + holder(filter.KeyID, filter.ExternalID).Encode(),
	})
}

// exportCredits answers with every entry that the page has, as CSV.
func exportCredits(v *visit) error {
	p, _, err := v.project()
	if err != nil {
		return err
	}
	export, err := p.ExportCreditEntries(v.ctx(), v.creditFilter(), domain.Cursor{})
	if err != nil {
		return err
	}
	v.Response().Header().Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	v.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="credits.csv"`)
	if err := export.All(domain.Table(v.Response(), domain.CreditEntryColumns, domain.CreditEntry.Row)); err != nil {
		v.console.config.Log.WarnContext(v.ctx(), "an export of credits failed", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// holder are the parameters that name whose credits they are: those of a key, or those
// that the keys of a customer share.
func holder(key domain.KeyID, externalID string) url.Values {
	parameters := url.Values{}
	if key != "" {
		parameters.Set("key", string(key))
	}
	if externalID != "" {
		parameters.Set("external_id", externalID)
	}
	return parameters
}

type grantPage struct {
	Project domain.Project
	Form    form
	Holder  string // the name of the key, or the external id
	Back    string // URL of the page of the key or the customer
	Amount  int64
}

// Takes reports whether credits are taken back.
func (g grantPage) Takes() bool { return g.Amount < 0 }

// Units returns how many credits are added or taken back.
func (g grantPage) Units() int64 { return max(g.Amount, -g.Amount) }

// Wrong returns what is wrong with fields that people do not enter.
func (g grantPage) Wrong() (faults []string) {
	for _, field := range []string{"limit", "key_id", "external_id"} {
		if fault := g.Form.Faults[field]; fault != "" {
			faults = append(faults, title(words(field))+": "+fault)
		}
	}
	return faults
}

func showGrant(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	f := newForm("limit", v.QueryParam("limit"), "key_id", v.QueryParam("key"), "external_id", v.QueryParam("external_id"))
	return v.grantPage(p, project, f, "credits-grant")
}

// grantPage shows a page of the form that grants credits.
func (v *visit) grantPage(p *service.Project, project domain.Project, f form, name string) error {
	if err := p.Authorize(domain.LimitsWrite); err != nil {
		return err
	}
	page := grantPage{Project: project, Form: f, Holder: f.Get("external_id"), Back: customerURL(project, f.Get("external_id"))}
	if id := f.Get("key_id"); id != "" {
		key, err := p.GetKey(v.ctx(), domain.KeyID(id))
		if err != nil {
			return err
		}
		page.Holder, page.Back = key.Name, keyURL(key)
	}
	page.Amount = f.amount()
	v.at("Customers")
	return v.render(f.status, name, "Grant credits", page)
}

// amount returns the number of credits; 0, which no grant has, for anything else.
func (f form) amount() int64 {
	n, err := strconv.ParseInt(strings.ReplaceAll(f.Text("amount"), ",", ""), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (f form) grant() domain.CreditGrant {
	return domain.CreditGrant{
		Limit:          f.Get("limit"),
		KeyID:          domain.KeyID(f.Get("key_id")),
		ExternalID:     f.Get("external_id"),
		Amount:         f.amount(),
		Reason:         f.Text("reason"),
		IdempotencyKey: domain.Hidden(f.Get("nonce")),
	}
}

// confirmGrant shows what the form would do, and asks for confirmation.
func confirmGrant(v *visit, p *service.Project, project domain.Project, f form) error {
	if err := f.grant().Validate(); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.grantPage(p, project, f, "credits-grant")
	}
	f.Values.Set("nonce", rand.Text())
	return v.grantPage(p, project, f, "credits-confirm")
}

var grantedNotice = map[string]string{
	"granted": "The credits are granted.", "taken": "The credits are taken back, as far as they were there.",
}

func grantCredits(v *visit, p *service.Project, project domain.Project, f form) error {
	grant := f.grant()
	if _, err := p.GrantCredits(v.ctx(), grant); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.grantPage(p, project, f, "credits-grant")
	}
	notice := "granted"
	if grant.Amount < 0 {
		notice = "taken"
	}
	if grant.KeyID != "" {
		return v.redirect(keyURL(domain.Key{ID: grant.KeyID, ProjectID: project.ID}) + "?notice=" + notice)
	}
	return v.redirect(customerURL(project, grant.ExternalID) + "&notice=" + notice)
}
