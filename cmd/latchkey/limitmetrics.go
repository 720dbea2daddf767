package main

import (
	"cmp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/meter"
)

// limitMetrics show what a node does about limits, and what it has counted of uses.
// All are read together, and their series are always the same: no label has the name of
// a limit, a key or a customer.
type limitMetrics struct {
	app *service.App

	decisions, share, counters, clock *prometheus.Desc
	visits, failed, took, units       *prometheus.Desc
	rows, lag, pending, journal       *prometheus.Desc
}

func newLimitMetrics(app *service.App) *limitMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("latchkey_"+name, help, labels, nil)
	}
	return &limitMetrics{
		app: app,
		decisions: desc("limit_decisions_total", "What limits have said of requests, by type of the limit: admitted, exceeded a "+
			"limit that only observes, refused, or unknown because the database does not answer. A request counts once for each type.",
			"type", "decision"),
		share:    desc("limit_share", "Part of every rate limit that this node admits: 1 by the number of nodes."),
		counters: desc("counters", "Limits of keys, customers and projects that this node knows the state of, by type.", "type"),
		clock:    desc("clock_offset_seconds", "How far the clock of limits, that of the database, is ahead of the one of this node."),
		visits: desc("lease_visits_total", "Visits of counters of quotas and credits, in which this node settles and leases more, by "+
			"reason: a request waits, the node exits, it returns what is idle, takes more ahead of time, or settles.", "reason"),
		failed: desc("lease_visits_failed_total", "Of these, those that failed."),
		took:   desc("lease_visit_duration_seconds", "Time of a transaction that visits up to 500 counters."),
		units: desc("lease_units_total", "Units of quotas and credits that this node has leased, that it has returned unspent, and that "+
			"were lost with other nodes, as this node found.", "change"),
		journal: desc("journal_bytes", "Size of the journal, in which what this node spends of leases outlives kill -9; 0: it has none."),
		rows:    desc("usage_flush_rows_total", "Counts of keys and tags that this node has written."),
		lag:     desc("usage_flush_lag_seconds", "Time since everything that was counted before was written."),
		pending: desc("usage_pending", "Uses of keys that are counted and not written yet. A node that is killed loses them."),
	}
}

// Describe is a part of prometheus.Collector.
func (m *limitMetrics) Describe(all chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, all) }

// Collect is a part of prometheus.Collector.
func (m *limitMetrics) Collect(all chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		all <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value int64, labels ...string) {
		all <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	for _, d := range m.app.LimitDecisions() {
		counter(m.decisions, d.Count, cmp.Or(string(d.Type), "none"), d.Verdict.String())
	}
	l := m.app.LimitStats()
	gauge(m.share, 1/float64(l.Nodes))
	for _, t := range domain.LimitTypes {
		gauge(m.counters, float64(l.Counters[t]), string(t))
	}
	gauge(m.clock, l.ClockOffset.Seconds())
	for _, r := range meter.VisitReasons {
		counter(m.visits, l.Visits[r], r.String())
	}
	counter(m.failed, l.Failed)
	up := make(map[float64]uint64, len(l.Took.Up))
	for bound, n := range l.Took.Up {
		up[bound.Seconds()] = n
	}
	all <- prometheus.MustNewConstHistogram(m.took, l.Took.Count, l.Took.Sum.Seconds(), up)
	counter(m.units, l.Granted, "granted")
	counter(m.units, l.Returned, "returned")
	counter(m.units, l.Forfeited, "forfeited")
	gauge(m.journal, float64(l.Journal))
	u := m.app.UsageStats()
	counter(m.rows, u.Rows)
	gauge(m.lag, u.Lag.Round(time.Millisecond).Seconds())
	gauge(m.pending, float64(u.Pending))
}
