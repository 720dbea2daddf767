package api

import (
	"context"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
)

// GetUsage answers the usage of a project: a page, or an export if the Accept
// header prefers one.
func (h *handlers) GetUsage(ctx context.Context, r GetUsageRequestObject) (GetUsageResponseObject, error) {
	q, err := usageQuery(r.Params)
	if err != nil {
		return nil, err
	}
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	if media := preferred(ctx, jsonMedia, csvMedia, linesMedia); media != jsonMedia {
		items, usage, err := project.ExportUsage(ctx, q)
		return newUsageExport(ctx, media, items, usage.Query), err
	}
	usage, err := project.Usage(ctx, q)
	body, link := usageList(ctx, usage)
	return GetUsage200JSONResponse{Body: body, Headers: GetUsage200ResponseHeaders{Link: link}}, err
}

// GetOrganizationUsage is like GetUsage, for all projects of an organization.
func (h *handlers) GetOrganizationUsage(
	ctx context.Context, r GetOrganizationUsageRequestObject,
) (GetOrganizationUsageResponseObject, error) {
	q, err := organizationUsageQuery(r.Params)
	if err != nil {
		return nil, err
	}
	organization, err := h.app.Organization(ctx, caller(ctx), r.OrganizationID)
	if err != nil {
		return nil, err
	}
	if media := preferred(ctx, jsonMedia, csvMedia, linesMedia); media != jsonMedia {
		items, usage, err := organization.ExportUsage(ctx, q)
		return newUsageExport(ctx, media, items, usage.Query), err
	}
	usage, err := organization.Usage(ctx, q)
	body, link := usageList(ctx, usage)
	return GetOrganizationUsage200JSONResponse{Body: body, Headers: GetOrganizationUsage200ResponseHeaders{Link: link}}, err
}

// GetOwnUsage answers the usage of the key that calls.
func (h *handlers) GetOwnUsage(ctx context.Context, _ GetOwnUsageRequestObject) (GetOwnUsageResponseObject, error) {
	usage, err := h.app.OwnUsage(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	list, _ := usageList(ctx, usage)
	limits, err := h.app.OwnLimits(ctx, caller(ctx))
	return GetOwnUsage200JSONResponse{
		Interval:      list.Interval,
		TimeZone:      list.TimeZone,
		CompleteUntil: list.CompleteUntil,
		Lossy:         list.Lossy,
		Items:         list.Items,
		Limits:        h.limits(limits),
	}, err
}

func usageQuery(p GetUsageParams) (domain.UsageQuery, error) {
	after, err := domain.ParseUsageCursor(value(p.Cursor))
	return domain.UsageQuery{
		Since:       value(p.Since),
		Until:       value(p.Until),
		Interval:    domain.UsageInterval(value(p.Interval)),
		GroupBy:     usageGroups(p.GroupBy),
		KeyID:       value(p.KeyID),
		ExternalID:  value(p.ExternalID),
		Environment: value(p.Environment),
		PlanID:      value(p.PlanID),
		Tag:         value(p.Tag),
		Outcome:     value(p.Outcome),
		Busiest:     value(p.Order) == GetUsageParamsOrderMinusRequests,
		Limit:       value(p.Limit),
		After:       after,
	}, err
}

func organizationUsageQuery(p GetOrganizationUsageParams) (domain.UsageQuery, error) {
	after, err := domain.ParseUsageCursor(value(p.Cursor))
	return domain.UsageQuery{
		Since:    value(p.Since),
		Until:    value(p.Until),
		Interval: domain.UsageInterval(value(p.Interval)),
		GroupBy:  usageGroups(p.GroupBy),
		Outcome:  value(p.Outcome),
		Busiest:  value(p.Order) == GetOrganizationUsageParamsOrderMinusRequests,
		Limit:    value(p.Limit),
		After:    after,
	}, err
}

func usageGroups(groupBy *string) (groups []domain.UsageGroup) {
	if groupBy == nil {
		return nil
	}
	for name := range strings.SplitSeq(*groupBy, ",") {
		groups = append(groups, domain.UsageGroup(name))
	}
	return groups
}

func usageList(ctx context.Context, u domain.Usage) (UsageList, *string) {
	next, link := nextPage(ctx, u.Next)
	return UsageList{
		Interval:      string(u.Query.Interval),
		TimeZone:      "UTC",
		CompleteUntil: u.CompleteUntil,
		Lossy:         u.Lossy,
		Items:         each(u.Items, func(i domain.UsageItem) UsageItem { return UsageItemFrom(i, u.Query) }),
		NextCursor:    next,
	}, link
}

// UsageItemFrom returns an item as clients see it, with the groups that the
// question names.
func UsageItemFrom(i domain.UsageItem, q domain.UsageQuery) UsageItem {
	item := UsageItem{Start: i.Start.UTC(), Requests: i.Requests, Outcomes: map[string]int64{}}
	for outcome, count := range i.Outcomes {
		item.Outcomes[string(outcome)] = count
	}
	if id, ok := i.Group(q, domain.ByProject); ok {
		item.Project = &UsageProject{ID: domain.ProjectID(id), Name: orNull(i.Name(q, domain.ByProject))}
	}
	if id, ok := i.Group(q, domain.ByKey); ok {
		item.Key = &UsageKey{ID: domain.KeyID(id), Name: orNull(i.Name(q, domain.ByKey))}
	}
	if id, ok := i.Group(q, domain.ByExternalID); ok {
		item.ExternalID = orNull(id)
	}
	if name, ok := i.Group(q, domain.ByEnvironment); ok {
		item.Environment = new(domain.Environment(name))
	}
	if id, ok := i.Group(q, domain.ByPlan); ok {
		item.Plan = planOrNull(domain.KeyPlan{ID: domain.PlanID(id), Name: i.Name(q, domain.ByPlan)})
	}
	if tag, ok := i.Group(q, domain.ByTag); ok {
		item.Tag = &tag
	}
	if name, ok := i.Group(q, domain.ByOutcome); ok {
		item.Outcome = new(domain.Outcome(name))
	}
	return item
}
