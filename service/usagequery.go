package service

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	// nodeAlive is how long after its last report a node counts as running. One
	// that has been killed delays complete_until no longer than that.
	nodeAlive = 3 * NodeReports

	// usageExportPage is how many items of an export are read at a time: each page
	// sums up a part of the period.
	usageExportPage = 5000

	// ownUsageItems is more than the 30 days of the period, so that one page has them
	// all.
	ownUsageItems = 100
)

// Usage answers how often the keys of the project were used. It needs usage:read.
// The question's limit is that of a page; 0 is the default.
func (p *Project) Usage(ctx context.Context, q domain.UsageQuery) (domain.Usage, error) {
	if err := p.Authorize(domain.UsageRead); err != nil {
		return domain.Usage{}, err
	}
	return p.pageOfUsage(ctx, q, p.readUsage)
}

// UsageOfKeys answers how often each of some keys was used, by day since a day. It
// needs usage:read. Keys that were not used are missing.
func (p *Project) UsageOfKeys(ctx context.Context, keys []domain.KeyID, since time.Time) (map[domain.KeyID][]domain.UsageItem, error) {
	if err := p.Authorize(domain.UsageRead); err != nil || len(keys) == 0 {
		return nil, err
	}
	return histories[domain.KeyID](ctx, p, domain.UsageQuery{Since: since, Keys: keys, GroupBy: []domain.UsageGroup{domain.ByKey}})
}

// UsageOfCustomers is like UsageOfKeys, for the keys of each customer together. It waits
// for a place, because a customer may have many keys.
func (p *Project) UsageOfCustomers(ctx context.Context, customers []string, since time.Time) (map[string][]domain.UsageItem, error) {
	if err := p.Authorize(domain.UsageRead); err != nil || len(customers) == 0 {
		return nil, err
	}
	leave, err := p.app.scarce.sums.enter(ctx, p.caller)
	if err != nil {
		return nil, err
	}
	defer leave()
	q := domain.UsageQuery{Since: since, Customers: customers, GroupBy: []domain.UsageGroup{domain.ByExternalID}}
	return histories[string](ctx, p, q)
}

// histories returns the items of an answer by their only group.
func histories[G ~string](ctx context.Context, p *Project, q domain.UsageQuery) (map[G][]domain.UsageItem, error) {
	q.Limit = usageExportPage
	q, err := q.Complete(p.app.now(), usageExportPage)
	if err != nil {
		return nil, err
	}
	items, err := p.app.store.ProjectUsage(ctx, p.project.Scope(), q)
	all := map[G][]domain.UsageItem{}
	for _, i := range items {
		all[G(i.Groups[0])] = append(all[G(i.Groups[0])], i)
	}
	return all, err
}

// Usage answers how often the keys of the organization were used, of all its
// projects. It needs usage:read.
func (o *Organization) Usage(ctx context.Context, q domain.UsageQuery) (domain.Usage, error) {
	if err := o.Authorize(domain.UsageRead); err != nil {
		return domain.Usage{}, err
	}
	return o.pageOfUsage(ctx, q, o.readUsage)
}

// OwnUsage answers how often the key that the caller has proved was used, by day,
// for 30 days. A key needs no scope to know that.
func (a *App) OwnUsage(ctx context.Context, caller domain.Principal) (domain.Usage, error) {
	key, ok := caller.ProvenKey()
	if !ok {
		return domain.Usage{}, errAnonymous()
	}
	read := func(ctx context.Context, q domain.UsageQuery) ([]domain.UsageItem, error) {
		return a.store.ProjectUsage(ctx, key.Tenant().Project.Scope(), q)
	}
	return a.usageOf(ctx, domain.UsageQuery{KeyID: key.ID(), Limit: ownUsageItems}, ownUsageItems, read)
}

// ExportUsage is like Usage, without pages.
func (p *Project) ExportUsage(ctx context.Context, q domain.UsageQuery) (Export[domain.UsageItem], domain.Usage, error) {
	if err := p.Authorize(domain.UsageRead); err != nil {
		return Export[domain.UsageItem]{}, domain.Usage{}, err
	}
	return exportUsage(ctx, &p.grant, q, p.readUsage)
}

// ExportUsage is like Usage, without pages.
func (o *Organization) ExportUsage(ctx context.Context, q domain.UsageQuery) (Export[domain.UsageItem], domain.Usage, error) {
	if err := o.Authorize(domain.UsageRead); err != nil {
		return Export[domain.UsageItem]{}, domain.Usage{}, err
	}
	return exportUsage(ctx, &o.grant, q, o.readUsage)
}

type usageReader func(context.Context, domain.UsageQuery) ([]domain.UsageItem, error)

func exportUsage(ctx context.Context, g *grant, q domain.UsageQuery, read usageReader) (Export[domain.UsageItem], domain.Usage, error) {
	q.Limit = usageExportPage
	usage, err := g.app.usageComplete(ctx, q, usageExportPage)
	if err != nil {
		return Export[domain.UsageItem]{}, domain.Usage{}, err
	}
	all, err := export(ctx, g, func() (exportPage[domain.UsageItem], error) {
		return read.page(ctx, usage.Query, firstCut[usage.Query.Interval])
	})
	return all, usage, err
}

// firstCut is how many days, or months, the first page of an export sums up. With
// 10,000 keys in daily use these are some 300,000 rows, or half a million hours.
var firstCut = map[domain.UsageInterval]int{domain.PerHour: 2, domain.PerDay: 31, domain.PerMonth: 1}

// page reads a page of an export. It sums up so many days of the period, or months,
// so that an export takes time in proportion to its length: a page that is full is
// followed by one about the rest of a day, and one with few items by one about more
// days.
func (read usageReader) page(ctx context.Context, q domain.UsageQuery, days int) (page exportPage[domain.UsageItem], err error) {
	first, rest := q.Cut(days)
	items, next, err := read.some(ctx, first)
	page.items = items
	switch {
	case !next.IsZero():
		q.After = next
		page.next = func() (exportPage[domain.UsageItem], error) { return read.page(ctx, q, 1) }
	case !rest.Until.IsZero():
		if len(items) < q.Limit/4 {
			days *= 2
		}
		page.next = func() (exportPage[domain.UsageItem], error) { return read.page(ctx, rest, days) }
	}
	return page, err
}

// some reads a page of the answer to a complete question, and where the next one
// begins.
func (read usageReader) some(ctx context.Context, q domain.UsageQuery) (items []domain.UsageItem, next domain.UsageCursor, err error) {
	if items, err = read(ctx, q); err == nil && len(items) > q.Limit {
		items = items[:q.Limit]
		next = items[q.Limit-1].Cursor(q)
	}
	return items, next, err
}

// pageOfUsage answers a question by what read reads, when it has a place to do so.
func (g *grant) pageOfUsage(ctx context.Context, q domain.UsageQuery, read usageReader) (domain.Usage, error) {
	leave, err := g.app.scarce.sums.enter(ctx, g.caller)
	if err != nil {
		return domain.Usage{}, err
	}
	defer leave()
	return g.app.usageOf(ctx, q, domain.MaxPageSize, read)
}

// usageOf answers a question by what read reads.
func (a *App) usageOf(ctx context.Context, q domain.UsageQuery, largest int, read usageReader) (domain.Usage, error) {
	u, err := a.usageComplete(ctx, q, largest)
	if err != nil {
		return domain.Usage{}, err
	}
	u.Items, u.Next, err = read.some(ctx, u.Query)
	return u, err
}

// lossAfter is how long after the moment of its last batch a node that was killed
// may have counted what it did not write: the next batch was due by then.
const lossAfter = 2 * countInterval

// usageComplete completes a question, and says how far the answer is complete. It is
// called before the answer is read, so that it never promises more.
func (a *App) usageComplete(ctx context.Context, q domain.UsageQuery, largest int) (u domain.Usage, err error) {
	if u.Query, err = q.Complete(a.now(), largest); err != nil {
		return u, err
	}
	since, until := u.Query.Since.Add(-lossAfter), u.Query.Until
	here := a.usage.complete()
	u.CompleteUntil, u.Lossy, err = a.store.UsageComplete(ctx, a.usage.node, time.Now().Add(-nodeAlive), since, until)
	if err != nil || u.CompleteUntil.IsZero() || here.Before(u.CompleteUntil) {
		u.CompleteUntil = here
	}
	return u, err
}

// readUsage reads the usage of the project, with the names of keys and plans.
func (p *Project) readUsage(ctx context.Context, q domain.UsageQuery) ([]domain.UsageItem, error) {
	items, err := p.app.store.ProjectUsage(ctx, p.project.Scope(), q)
	if err != nil {
		return nil, err
	}
	err = nameItems(items, q, domain.ByKey, func(ids []string) (map[string]string, error) {
		return p.app.store.KeyNames(ctx, p.project.Scope(), ids)
	})
	if err != nil {
		return nil, err
	}
	return items, nameItems(items, q, domain.ByPlan, func(ids []string) (map[string]string, error) {
		return p.app.store.PlanNames(ctx, p.project.Scope(), ids)
	})
}

// readUsage reads the usage of the organization, with the names of projects.
func (o *Organization) readUsage(ctx context.Context, q domain.UsageQuery) ([]domain.UsageItem, error) {
	items, err := o.app.store.OrganizationUsage(ctx, o.organization.Scope(), q)
	if err != nil {
		return nil, err
	}
	return items, nameItems(items, q, domain.ByProject, func(ids []string) (map[string]string, error) {
		return o.app.store.ProjectNames(ctx, o.organization.Scope(), ids)
	})
}

// nameItems gives the items the names of what they are about.
func nameItems(items []domain.UsageItem, q domain.UsageQuery, by domain.UsageGroup, read func([]string) (map[string]string, error)) error {
	at := slices.Index(q.GroupBy, by)
	if at < 0 {
		return nil
	}
	ids := map[string]bool{"": true} // no plan
	var some []string
	for _, i := range items {
		if id := i.Groups[at]; !ids[id] {
			ids[id] = true
			some = append(some, id)
		}
	}
	names, err := read(some)
	for i := range items {
		items[i].Names[at] = names[items[i].Groups[at]]
	}
	return err
}
