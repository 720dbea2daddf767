package console

import (
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// chart is a picture that the template "chart" draws as SVG: rectangles on an
// area of Width by Height, and a text for screen readers.
type chart struct {
	Label         string
	Width, Height int
	Bars          []bar
	Base          int    // position of the baseline; 0: none
	From, To      string // labels of the two ends of the axis
	Legend        []legend
}

// Total returns what all parts of the legend are together.
func (c chart) Total() (n int) {
	for _, part := range c.Legend {
		n += part.Count
	}
	return n
}

// bar is one rectangle. Class sets its color, Title is shown on hover.
type bar struct {
	X, Y, Width, Height float64
	Class, Title        string
}

type legend struct {
	Class, Name string
	Count       int
}

// Sizes of the pictures, in units of their own.
const (
	chartWidth  = 320
	chartHeight = 96
	historyDays = 30 // how many past days changesChart shows
	aheadWeeks  = 13 // how many coming weeks expiriesChart shows
)

// statusChart draws one bar with a part for each status of the keys.
func statusChart(s domain.KeyStatistics) chart {
	c := chart{Width: chartWidth, Height: 12, Legend: []legend{
		{"active", "active", s.Active}, {"expired", "expired", s.Expired}, {"revoked", "revoked", s.Revoked},
	}}
	c.Label = fmt.Sprintf("Keys by status: %d active, %d expired, %d revoked", s.Active, s.Expired, s.Revoked)
	x := 0.0
	for _, part := range c.Legend {
		if part.Count == 0 {
			continue
		}
		// No part is too thin to see.
		width := max(float64(chartWidth)*float64(part.Count)/float64(s.Total()), 3)
		c.Bars = append(c.Bars, bar{x, 0, width, 12, part.Class, count(part.Count, part.Name+" key", part.Name+" keys")})
		x += width + 2
	}
	c.Width = max(c.Width, int(x))
	return c
}

// changesChart draws the last days: creations upwards, revocations downwards.
func changesChart(s domain.KeyStatistics, now time.Time) chart {
	today := today(now)
	byDay, created, revoked, highest, lowest := map[time.Time]domain.KeyDay{}, 0, 0, 1, 0
	for _, day := range s.Days {
		if day.Day.After(today) || !day.Day.After(today.AddDate(0, 0, -historyDays)) {
			continue
		}
		byDay[day.Day] = day
		created, revoked = created+day.Created, revoked+day.Revoked
		highest, lowest = max(highest, day.Created), max(lowest, day.Revoked)
	}
	c := chart{
		Width:  chartWidth,
		Height: chartHeight,
		From:   "30 days ago",
		To:     "today",
		Label:  fmt.Sprintf("The last %d days: %d keys created, %d revoked", historyDays, created, revoked),
		Legend: []legend{{"created", "created", created}, {"revoked", "revoked", revoked}},
	}
	unit := float64(chartHeight-4) / float64(highest+lowest)
	c.Base = 2 + int(unit*float64(highest))
	step := float64(chartWidth) / historyDays
	for i := range historyDays {
		day := byDay[today.AddDate(0, 0, i-historyDays+1)]
		x, name := step*float64(i)+1, day.Day.Format("2 January")
		if h := unit * float64(day.Created); h > 0 {
			title := name + ": " + count(day.Created, "key", "keys") + " created"
			c.Bars = append(c.Bars, bar{x, float64(c.Base) - h, step - 2, h, "created", title})
		}
		if h := unit * float64(day.Revoked); h > 0 {
			title := name + ": " + count(day.Revoked, "key", "keys") + " revoked"
			c.Bars = append(c.Bars, bar{x, float64(c.Base) + 1, step - 2, h, "revoked", title})
		}
	}
	return c
}

// expiriesChart draws how many keys expire in each of the coming weeks.
func expiriesChart(s domain.KeyStatistics, now time.Time) chart {
	today := today(now)
	weeks, expiring, highest := map[int]int{}, 0, 1
	for _, day := range s.Days {
		week := int(day.Day.Sub(today) / (7 * 24 * time.Hour))
		if day.Day.Before(today) || week >= aheadWeeks {
			continue
		}
		weeks[week] += day.Expiring
		expiring += day.Expiring
		highest = max(highest, weeks[week])
	}
	c := chart{
		Width:  chartWidth,
		Height: chartHeight,
		Base:   chartHeight - 2,
		From:   "this week",
		To:     "in 3 months",
		Label:  fmt.Sprintf("The next %d weeks: %d keys expire", aheadWeeks, expiring),
		Legend: []legend{{"expired", "expiring", expiring}},
	}
	step := float64(chartWidth) / aheadWeeks
	for i := range aheadWeeks {
		n := weeks[i]
		if n == 0 {
			continue
		}
		h := float64(chartHeight-4) * float64(n) / float64(highest)
		from := today.AddDate(0, 0, 7*i)
		c.Bars = append(c.Bars, bar{
			step*float64(i) + 2, float64(c.Base) - h, step - 4, h, "expired",
			"Week of " + from.Format("2 January") + ": " + count(n, "key expires", "keys expire"),
		})
	}
	return c
}
