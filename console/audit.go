package console

import (
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

type auditPage struct {
	Organization domain.MemberOf
	Form         form
	Events       domain.List[domain.Event]
	Next         string
	Later        bool
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
	f := form{Values: v.QueryParams(), status: newForm().status}
	filter := domain.EventFilter{
		Actor: f.Text("actor"), Action: f.Text("action"), Target: f.Text("target"), Since: f.day("since"), Until: f.day("until"),
	}
	if !filter.Until.IsZero() {
		filter.Until = filter.Until.AddDate(0, 0, 1) // the day that was named is meant to be in
	}
	events, err := o.ListEvents(v.ctx(), filter, page)
	if err != nil {
		return err
	}
	v.layout.Wide = true
	return v.render(f.status, "audit", "Audit log", auditPage{
		Organization: organization, Form: f, Events: events, Next: v.nextPage(events.Next), Later: !page.After.IsZero(),
	})
}

// day reads a date; what is none does not narrow the list.
func (f form) day(name string) time.Time {
	day, err := time.Parse(time.DateOnly, f.Get(name))
	if err != nil {
		return time.Time{}
	}
	return day
}
