package console

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

type auditPage struct {
	URL     string
	Title   string
	Actions []string // that the page can be filtered by
	Form    form
	Events  domain.List[domain.Event]
	Next    string
	Later   bool
	Export  string // the address of all that the filter lets through, as CSV; empty: there is none
}

func showAudit(v *visit) error {
	o, organization, err := v.organization()
	if err != nil {
		return err
	}
	url := organizationURL(organization.Organization) + "/audit"
	return v.audit(auditPage{
		URL: url, Title: "Audit log", Actions: auditActions, Export: url + "/export?" + v.QueryParams().Encode(),
	}, o.ListEvents)
}

// showAccounts answers operators only. Everyone else gets "not found".
func showAccounts(v *visit) error {
	list := func(ctx context.Context, f domain.EventFilter, p domain.Page) (domain.List[domain.Event], error) {
		return v.app.ListAccountEvents(ctx, v.caller, f, p)
	}
	return v.audit(auditPage{URL: "/console/instance/accounts", Title: "Accounts and sign-ins", Actions: accountActions}, list)
}

// audit shows a page of a trail.
func (v *visit) audit(
	shown auditPage, list func(context.Context, domain.EventFilter, domain.Page) (domain.List[domain.Event], error),
) error {
	page, err := domain.NewPage(0, v.QueryParam("cursor"))
	if err != nil {
		return err
	}
	f, filter, err := v.eventFilter()
	if err != nil {
		return err
	}
	events, err := list(v.ctx(), filter, page)
	if err != nil {
		return err
	}
	shown.Form, shown.Events, shown.Next, shown.Later = f, events, v.nextPage(events.Next), !page.After.IsZero()
	return v.render(f.status, "audit", shown.Title, shown)
}

// eventFilter reads the filter of the log. The last day is included. The error
// is validation_failed when a day is not a date.
func (v *visit) eventFilter() (form, domain.EventFilter, error) {
	f := newForm()
	f.Values = v.QueryParams()
	filter := domain.EventFilter{Actor: f.Text("actor"), Action: f.Text("action"), Target: f.Text("target")}
	var invalid domain.Invalid
	filter.Since = f.day("since", &invalid)
	filter.Until = f.day("until", &invalid)
	if !filter.Until.IsZero() {
		filter.Until = filter.Until.AddDate(0, 0, 1)
	}
	return f, filter, invalid.Err()
}

// exportAudit answers with every event that passes the filter and keeps one page
// in memory at a time. After an error it breaks the connection, so that a part
// is not taken for the whole.
func exportAudit(v *visit) error {
	o, _, err := v.organization()
	if err != nil {
		return err
	}
	_, filter, err := v.eventFilter()
	if err != nil {
		return err
	}
	export, err := o.ExportEvents(v.ctx(), filter, domain.Cursor{})
	if err != nil {
		return err
	}
	v.Response().Header().Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	v.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="audit-events.csv"`)
	if err := export.All(domain.Table(v.Response(), domain.EventColumns, domain.Event.Row)); err != nil {
		v.console.config.Log.WarnContext(v.ctx(), "an export of audit events failed", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// day reads a date, if there is one.
func (f form) day(name string, invalid *domain.Invalid) time.Time {
	if f.Get(name) == "" {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, f.Get(name))
	if err != nil {
		invalid.Add(name, "must be a day, such as 2026-03-14")
	}
	return day
}
