package console

import (
	"net/url"
	"slices"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type customersPage struct {
	Project   domain.Project
	Customers []domain.Customer
	Sparks    map[string]chart // the last 30 days of those that were used then
	Next      string           // URL of the next page; empty on the last one
	Later     bool             // this is not the first page
}

func showCustomers(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	page, err := domain.NewCustomerPage(0, v.QueryParam("cursor"))
	if err != nil {
		return err
	}
	customers, next, err := p.ListCustomers(v.ctx(), page)
	if err != nil {
		return err
	}
	ids := make([]string, len(customers))
	for i, c := range customers {
		ids[i] = c.ExternalID
	}
	histories, err := p.UsageOfCustomers(v.ctx(), ids, usagePeriods[defaultPeriod].start(v.layout.Now, 0))
	if err != nil {
		return err
	}
	shown := customersPage{Project: project, Customers: customers, Sparks: sparksOf(histories, v.layout.Now), Later: !page.After.IsZero()}
	if !next.IsZero() {
		shown.Next = projectURL(project) + "/customers?" + url.Values{"cursor": {next.String()}}.Encode()
	}
	return v.render(done, "customers", "Customers", shown)
}

type customerPage struct {
	Project  domain.Project
	ID       string
	Usage    chart
	Rows     []usageRow // the same as a table
	Used     bool       // in the last 30 days
	More     string     // URL of the page about the customer's usage
	Limits   []limitRow // that the keys share
	Keys     []domain.Key
	AllKeys  string // URL of all keys, if there are more
	Entries  []domain.CreditEntry
	Credits  string // URL of all entries
	Notice   string
	MayLimit bool // the caller sees limits and credits
}

func showCustomer(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	id := v.QueryParam("external_id")
	if id == "" {
		return v.redirect(projectURL(project) + "/customers")
	}
	filter := domain.KeyFilter{ExternalID: id}
	keys, err := p.ListKeys(v.ctx(), filter, domain.Page{Limit: domain.DefaultPageSize})
	if err != nil {
		return err
	}
	named := url.Values{"external_id": {id}}.Encode()
	page := customerPage{
		Project:  project,
		ID:       id,
		Keys:     keys.Items,
		More:     projectURL(project) + "/usage?" + named,
		Credits:  projectURL(project) + "/credits?" + named,
		Notice:   grantedNotice[v.QueryParam("notice")],
		MayLimit: p.Holds(domain.LimitsRead),
	}
	if !keys.Next.IsZero() {
		page.AllKeys = keysURL(project, domain.KeyFilter{Search: id}, domain.Cursor{})
	}
	period := usagePeriods[defaultPeriod]
	usage, err := p.Usage(v.ctx(), domain.UsageQuery{
		Since: period.start(v.layout.Now, 0), Interval: period.interval, ExternalID: id, Limit: domain.MaxPageSize,
	})
	if err != nil {
		return err
	}
	page.Usage, page.Used = usageChart(usage.Items, period, v.layout.Now), len(usage.Items) > 0
	page.Rows = usageRows(usage.Items, period)
	if page.MayLimit {
		if page.Limits, err = v.sharedLimits(p, project, keys.Items); err != nil {
			return err
		}
		entries, err := p.ListCreditEntries(v.ctx(), domain.CreditFilter{ExternalID: id}, domain.Page{Limit: 10})
		if err != nil {
			return err
		}
		page.Entries = entries.Items
	}
	return v.render(done, "customer", id, page)
}

// sharedLimits returns the limits that keys of a customer share: those of each plan that
// they have, and those of the project.
func (v *visit) sharedLimits(p *service.Project, project domain.Project, keys []domain.Key) (rows []limitRow, err error) {
	type shared struct {
		source domain.LimitSource
		plan   domain.PlanID
		name   string
	}
	plans, seen := map[domain.PlanID]bool{}, map[shared]bool{}
	keys = slices.DeleteFunc(slices.Clone(keys), func(k domain.Key) bool { return k.Status(v.layout.Now) != domain.KeyActive })
	samePlan := !slices.ContainsFunc(keys, func(k domain.Key) bool { return k.Plan.ID != keys[0].Plan.ID })
	for _, key := range keys {
		if plans[key.Plan.ID] {
			continue
		}
		plans[key.Plan.ID] = true
		limits, err := p.KeyLimits(v.ctx(), key.ID)
		if err != nil {
			return nil, err
		}
		for _, s := range limits.Limits.States() {
			limit := shared{source: s.Source, name: s.Name}
			if s.Source == domain.FromPlan {
				limit.plan = key.Plan.ID
			}
			if s.Per == domain.PerExternalID && s.Source != domain.FromKey && !seen[limit] {
				seen[limit] = true
				of := holder(key.ID, "")
				if samePlan { // then the external id names the credits
					of = holder("", key.ExternalID)
				}
				rows = append(rows, newLimitRow(p, project, key, s, of))
			}
		}
	}
	return rows, nil
}

// customerURL returns the URL of the page of a customer.
func customerURL(project domain.Project, externalID string) string {
	return projectURL(project) + "/customers/show?" + url.Values{"external_id": {externalID}}.Encode()
}
