package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/outgoing"
)

// webhookMetrics show what becomes of deliveries to webhooks. Their series are always
// the same: no label has an address or a webhook.
type webhookMetrics struct {
	app *service.App

	deliveries, waiting, oldest, took *prometheus.Desc
}

func newWebhookMetrics(app *service.App) *webhookMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("latchkey_"+name, help, labels, nil)
	}
	return &webhookMetrics{
		app: app,
		deliveries: desc("webhook_attempts_total", "Attempts of this node to deliver an event, by result: delivered, or the kind of "+
			"the failure.", "result"),
		waiting: desc("webhook_queue_length", "Deliveries of the instance that wait to be tried, for the first time or again."),
		oldest:  desc("webhook_queue_age_seconds", "For how long the oldest of them has been due; 0: none is."),
		took:    desc("webhook_attempt_seconds_total", "Time that this node's attempts have taken."),
	}
}

// Describe is a part of prometheus.Collector.
func (m *webhookMetrics) Describe(all chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, all) }

// Collect is a part of prometheus.Collector.
func (m *webhookMetrics) Collect(all chan<- prometheus.Metric) {
	s := m.app.WebhookStats()
	attempts := func(result string, n int64) {
		all <- prometheus.MustNewConstMetric(m.deliveries, prometheus.CounterValue, float64(n), result)
	}
	attempts("delivered", s.Delivered)
	for _, class := range outgoing.Classes {
		attempts(string(class), s.Failed[class])
	}
	all <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, float64(s.Waiting))
	all <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, s.OldestAge.Seconds())
	all <- prometheus.MustNewConstMetric(m.took, prometheus.CounterValue, s.Time.Seconds())
}
