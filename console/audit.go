package console

import (
	"encoding/csv"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

type auditPage struct {
	Organization domain.MemberOf
	Form         form
	Events       domain.List[domain.Event]
	Next         string
	Later        bool
	Export       string // the address of all that the filter lets through, as CSV
}

func showAudit(v *visit) error {
	o, organization, err := v.organization()
	if err != nil {
		return err
	}
	page, err := domain.NewPage(0, v.QueryParam("cursor"))
	if err != nil {
		return err
	}
	f, filter, err := v.eventFilter()
	if err != nil {
		return err
	}
	events, err := o.ListEvents(v.ctx(), filter, page)
	if err != nil {
		return err
	}
	return v.render(f.status, "audit", "Audit log", auditPage{
		Organization: organization, Form: f, Events: events, Next: v.nextPage(events.Next), Later: !page.After.IsZero(),
		Export: organizationURL(organization.Organization) + "/audit/export?" + v.QueryParams().Encode(),
	})
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
	rows := csv.NewWriter(v.Response())
	rows.UseCRLF = true // RFC 4180, section 2
	if err = rows.Write(domain.EventColumns); err == nil {
		err = export.All(func(events []domain.Event) error { return writeEvents(rows, events) })
	}
	if err != nil {
		v.console.config.Log.WarnContext(v.ctx(), "an export of audit events failed", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func writeEvents(rows *csv.Writer, events []domain.Event) error {
	for _, e := range events {
		row, err := e.Row()
		if err != nil {
			return err
		}
		if err := rows.Write(row); err != nil {
			return err
		}
	}
	rows.Flush()
	return rows.Error()
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
