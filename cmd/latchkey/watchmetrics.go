package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
)

// watchMetrics show what the node has said of keys, what waits for the database, and
// how scarce things are shared out. Their series are always the same.
type watchMetrics struct {
	app   *service.App
	store *repository.Store

	verifications, leaks                       *prometheus.Desc
	queue, queueLimit                          *prometheus.Desc
	connections, connectionsMax, waits, waited *prometheus.Desc
	turns, turnsTaken, turnsWaiting, noTurn    *prometheus.Desc
}

func newWatchMetrics(app *service.App, store *repository.Store) *watchMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("latchkey_"+name, help, labels, nil)
	}
	return &watchMetrics{
		app:   app,
		store: store,
		verifications: desc("verifications_total", "Keys that were judged, by edge and outcome: call, the credential of a request; "+
			"verify, a key that a project asks about.", "edge", "outcome"),
		leaks: desc("reported_tokens_total", "Tokens that were reported as leaked, by outcome: unknown, none of this instance; revoked; "+
			"notified, the key keeps working; known, it had ended or was reported before.", "outcome"),
		queue:          desc("database_queue_length", "Statements that run or wait for a connection."),
		queueLimit:     desc("database_queue_limit", "How many statements may run or wait; more are refused."),
		connections:    desc("database_connections", "Connections to the database, by pool and state.", "pool", "state"),
		connectionsMax: desc("database_connections_max", "How many connections a pool may have.", "pool"),
		waits:          desc("database_connection_waits_total", "Statements that waited for a connection.", "pool"),
		waited:         desc("database_connection_wait_seconds_total", "Time that statements have waited for a connection.", "pool"),
		turns: desc("turns", "How many requests may have a turn at the same time, by what the turn is for: passwords to hash, hashes "+
			"of imported tokens, large bodies, reports of leaks, exports, sums of usage, visits of limits.", "of"),
		turnsTaken:   desc("turns_taken", "Requests that have a turn now.", "of"),
		turnsWaiting: desc("turns_waiting", "Requests that wait for a turn now.", "of"),
		noTurn:       desc("turns_refused_total", "Requests that were refused because they got no turn in time.", "of"),
	}
}

// Describe is a part of prometheus.Collector.
func (m *watchMetrics) Describe(all chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, all) }

// Collect is a part of prometheus.Collector.
func (m *watchMetrics) Collect(all chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		all <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	for _, v := range m.app.Verifications() {
		send(m.verifications, prometheus.CounterValue, float64(v.Count), string(v.Edge), string(v.Outcome))
	}
	leaks := m.app.LeakStats()
	for _, outcome := range service.LeakOutcomes {
		send(m.leaks, prometheus.CounterValue, float64(leaks[outcome]), string(outcome))
	}
	t := m.store.Traffic()
	send(m.queue, prometheus.GaugeValue, float64(t.Queue))
	send(m.queueLimit, prometheus.GaugeValue, float64(t.QueueLimit))
	for _, p := range t.Pools {
		send(m.connections, prometheus.GaugeValue, float64(p.InUse), p.Name, "in_use")
		send(m.connections, prometheus.GaugeValue, float64(p.Idle), p.Name, "idle")
		send(m.connectionsMax, prometheus.GaugeValue, float64(p.Most), p.Name)
		send(m.waits, prometheus.CounterValue, float64(p.Waits), p.Name)
		send(m.waited, prometheus.CounterValue, p.Waited.Seconds(), p.Name)
	}
	for _, turns := range m.app.Turns() {
		send(m.turns, prometheus.GaugeValue, float64(turns.Total), turns.Of)
		send(m.turnsTaken, prometheus.GaugeValue, float64(turns.Taken), turns.Of)
		send(m.turnsWaiting, prometheus.GaugeValue, float64(turns.Waiting), turns.Of)
		send(m.noTurn, prometheus.CounterValue, float64(turns.Refused), turns.Of)
	}
}

// measureStatements measures every statement of the store.
func measureStatements(store *repository.Store, metrics prometheus.Registerer) {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "latchkey_database_statement_duration_seconds",
		Help:    "Time of a statement from the moment at which it is wanted, the wait for a connection included, by what it does.",
		Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"kind"})
	unavailable := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "latchkey_database_unavailable_total",
		Help: "Statements that failed because the database was out of reach, too slow, or had too many statements waiting.",
	})
	metrics.MustRegister(took, unavailable)
	kinds := map[repository.Kind]prometheus.Observer{}
	for _, kind := range repository.Kinds {
		kinds[kind] = took.WithLabelValues(string(kind))
	}
	store.Measure(func(kind repository.Kind, d time.Duration, failed bool) {
		kinds[kind].Observe(d.Seconds())
		if failed {
			unavailable.Inc()
		}
	})
}
