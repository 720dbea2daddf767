package console

import (
	"fmt"
	"net/url"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// limitRow is a limit that holds for a key, and what is left of it.
type limitRow struct {
	Name, Words, Source string
	Left                chart
	Credits             bool
	Grant               string // URL of the form that grants these credits; empty: there is none for the caller
}

var sourceWords = map[domain.LimitSource]string{
	domain.FromKey: "of this key", domain.FromPlan: "of the plan", domain.FromProject: "of the project",
}

// limitRows returns the limits that hold for a key, if the caller may see them.
func (v *visit) limitRows(p *service.Project, project domain.Project, key domain.Key) (rows []limitRow, err error) {
	if !p.Holds(domain.LimitsRead) {
		return nil, nil
	}
	limits, err := p.KeyLimits(v.ctx(), key.ID)
	if err != nil {
		return nil, err
	}
	for _, s := range limits.Limits.States() {
		rows = append(rows, newLimitRow(p, project, key, s, holder(key.ID, "")))
	}
	return rows, nil
}

// newLimitRow returns the row of a limit of a key. of says whose credits they are.
func newLimitRow(p *service.Project, project domain.Project, key domain.Key, s domain.LimitState, of url.Values) limitRow {
	row := limitRow{
		Name:   s.Name,
		Words:  limitWords(s.Limit),
		Source: sourceWords[s.Source],
		Left:   limitChart(s),

		Credits: s.Type == domain.Credits,
	}
	if s.Source == domain.FromPlan {
		row.Source += " " + key.Plan.Name
	}
	if row.Credits && p.Holds(domain.LimitsWrite) {
		of.Set("limit", s.Name)
		row.Grant = projectURL(project) + "/credits/new?" + of.Encode()
	}
	return row
}

// From this part on, a limit is drawn as nearly used up.
const nearlyUsed = 0.8

// limitChart draws how much of a limit is used.
func limitChart(s domain.LimitState) chart {
	whole := s.Used + s.Remaining
	part, class := 1.0, "revoked" // of a limit that admits nothing
	if whole > 0 {
		part = float64(s.Used) / float64(whole)
	}
	switch {
	case part < nearlyUsed:
		class = "active"
	case part < 1:
		class = "expired"
	}
	c := chart{
		Width:  chartWidth,
		Height: 8,
		Label:  fmt.Sprintf("%s: %s of %s used, %s left", s.Name, number(s.Used), number(whole), number(s.Remaining)),
		Legend: []legend{{class, "used", int(s.Used)}, {"rest", "left", int(s.Remaining)}},
	}
	c.Bars = []bar{{0, 0, chartWidth, 8, "rest", number(s.Remaining) + " left"}}
	if part > 0 {
		c.Bars = append(c.Bars, bar{0, 0, max(chartWidth*part, 2), 8, class, number(s.Used) + " used"})
	}
	return c
}
