package console

import (
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// idleAfter is for how long a key that was used is not used, for people to ask for it
// as an idle one.
const idleAfter = 90 * 24 * time.Hour

// keyFilter reads the filter of a list of keys. It keeps only the public part of a
// pasted token.
func (v *visit) keyFilter(values url.Values) domain.KeyFilter {
	filter := domain.KeyFilter{
		Status:      domain.KeyStatus(values.Get("status")),
		Environment: domain.Environment(values.Get("environment")),
		Search:      domain.PublicPart(strings.TrimSpace(values.Get("search"))),
		Used:        domain.KeyUse(values.Get("used")),
		PlanID:      domain.PlanID(values.Get("plan")),
	}
	if filter.Used == "idle" {
		filter.Used, filter.LastUsedBefore = "", v.layout.Now.Add(-idleAfter)
	}
	return filter
}

// usedField returns the filter's use as the form has it.
func usedField(filter domain.KeyFilter) string {
	if !filter.LastUsedBefore.IsZero() {
		return "idle"
	}
	return string(filter.Used)
}

// searchKeys lists the keys that a form asks for. The form is sent by POST, because
// people paste tokens into it. The search text becomes part of a URL only if it
// found something; then it is a part of what keys show anyway.
func searchKeys(v *visit, p *service.Project, project domain.Project, f form) error {
	filter := v.keyFilter(f.Values)
	keys, err := v.findKeys(p, &filter)
	if err != nil {
		return err
	}
	shown := filter
	if len(keys.Items) == 0 {
		shown.Search = ""
	}
	switch {
	case v.Request().Header.Get("HX-Request") != "":
		v.Response().Header().Set("HX-Replace-Url", keysURL(project, shown, domain.Cursor{}))
	case shown == filter:
		return v.redirect(keysURL(project, filter, domain.Cursor{}))
	}
	v.at("Keys")
	return v.keysPage(p, project, filter, keys, domain.Page{})
}

// keysURL returns the URL of a list of keys after the cursor.
func keysURL(project domain.Project, filter domain.KeyFilter, after domain.Cursor) string {
	query := url.Values{}
	for _, field := range [][2]string{
		{"status", string(filter.Status)},
		{"environment", string(filter.Environment)},
		{"search", filter.Search},
		{"used", usedField(filter)},
		{"plan", string(filter.PlanID)},
		{"cursor", after.String()},
	} {
		if field[1] != "" {
			query.Set(field[0], field[1])
		}
	}
	if len(query) == 0 {
		return projectURL(project) + "/keys"
	}
	return projectURL(project) + "/keys?" + query.Encode()
}

// findKeys lists the first keys that pass the filter. An imported token begins with
// the prefix that its key shows, up to a dot.
func (v *visit) findKeys(p *service.Project, filter *domain.KeyFilter) (domain.List[domain.Key], error) {
	page := domain.Page{Limit: domain.DefaultPageSize}
	keys, err := p.ListKeys(v.ctx(), *filter, page)
	head, _, dotted := strings.Cut(filter.Search, ".")
	if err != nil || len(keys.Items) > 0 || !dotted || head == "" {
		return keys, err
	}
	imported := *filter
	imported.Search = head
	if keys, err = p.ListKeys(v.ctx(), imported, page); err == nil && len(keys.Items) > 0 {
		*filter = imported
	}
	return keys, err
}
