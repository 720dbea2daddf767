package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/mail"
	"github.com/latchkey-dev/latchkey/service/requestlog"
	"github.com/latchkey-dev/latchkey/service/site"
)

// adminRoutes serves operators on an address of its own: metrics, and the list of
// nodes.
func adminRoutes(app *service.App, requests *requestlog.Rule, metrics *prometheus.Registry, log *slog.Logger) http.Handler {
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics.MustRegister(appMetrics(app)...)
	metrics.MustRegister(newLimitMetrics(app))
	metrics.MustRegister(newWebhookMetrics(app))
	metrics.MustRegister(buildMetric())
	metrics.MustRegister(logMetrics(requests)...)
	routes := http.NewServeMux()
	routes.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	routes.HandleFunc("GET /nodes", func(w http.ResponseWriter, r *http.Request) {
		nodes, err := app.Nodes(r.Context())
		if err != nil {
			log.WarnContext(r.Context(), "the nodes cannot be listed", "error", err)
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(nodeList(nodes, time.Now())) // fails only when the client has gone
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(site.Site{}).SetHeaders(w.Header())
		routes.ServeHTTP(w, r)
	})
}

// node is a server as /nodes lists it.
type node struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Version    string    `json:"version"` // empty for 0.1
	StartedAt  time.Time `json:"started_at"`
	SeenAt     time.Time `json:"seen_at"`
	LagSeconds float64   `json:"lag_seconds"` // how long ago it last heard of stale notes, as far as known
}

func nodeList(nodes []domain.Node, now time.Time) map[string][]node {
	list := make([]node, len(nodes))
	for i, n := range nodes {
		lag := n.Lag
		if silent := now.Sub(n.SeenAt); silent > 2*service.NodeReports {
			lag += silent
		}
		list[i] = node{n.ID, n.Name, n.Version, n.StartedAt, n.SeenAt, lag.Seconds()}
	}
	return map[string][]node{"nodes": list}
}

// buildMetric has the version of the node, as labels of a constant.
func buildMetric() prometheus.Collector {
	_, revision, goVersion := buildInfo()
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "latchkey_build_info", Help: "Version, revision and Go version of this node, as labels; always 1.",
		ConstLabels: prometheus.Labels{"version": domain.Version, "revision": revision, "go": goVersion},
	}, func() float64 { return 1 })
}

// appMetrics show how well the node keeps up with the others, and what it answers
// from memory.
func appMetrics(app *service.App) []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	counter := func(name, help string, value func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	failed := make([]prometheus.Collector, 0, len(mail.Classes))
	for _, class := range mail.Classes {
		failed = append(failed, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "latchkey_emails_failed_total", Help: "Emails that this node gave up, by class of failure.",
			ConstLabels: prometheus.Labels{"class": string(class)},
		}, func() float64 { return float64(app.MailStats().Failed[class]) }))
	}
	return append(failed,
		gauge("latchkey_email_queue_length", "Emails waiting in the outbox of the instance; updated every few seconds.",
			func() float64 { return float64(app.MailStats().Waiting) }),
		gauge("latchkey_email_queue_oldest_seconds", "Time that the oldest email in the outbox has waited; 0 if there is none.",
			func() float64 { return app.MailStats().OldestAge.Seconds() }),
		counter("latchkey_emails_sent_total", "Emails of this node that the mail server accepted.",
			func() int64 { return app.MailStats().Sent }),
		counter("latchkey_emails_retried_total", "Failed attempts to send an email that will be tried again.",
			func() int64 { return app.MailStats().Retried }),
		gauge("latchkey_sync_state", "How well this node follows the changes of others: 0 not at all, 1 in sync, 2 degraded, 3 lost.",
			func() float64 { return float64(app.Sync()) }),
		gauge("latchkey_sync_lag_seconds", "Time since this node last knew of all changes.",
			func() float64 { return app.SyncLag().Seconds() }),
		gauge("latchkey_sync_waiters", "Calls of syncKeys that wait for changes.", func() float64 { return float64(app.SyncWaiting()) }),
		gauge("latchkey_key_cache_keys", "Keys kept in memory.", func() float64 { return float64(app.CacheStats().Keys) }),
		gauge("latchkey_key_cache_bytes", "Memory for keys, without their index.",
			func() float64 { return float64(app.CacheStats().Bytes) }),
		counter("latchkey_key_cache_hits_total", "Times that a key was found in memory.", func() int64 { return app.CacheStats().Hits }),
		counter("latchkey_key_cache_misses_total", "Times that a key was not found in memory.",
			func() int64 { return app.CacheStats().Misses }),
		counter("latchkey_key_cache_loads_total", "Look-ups of keys in the database.", func() int64 { return app.CacheStats().Loads }),
		counter("latchkey_key_cache_evictions_total", "Keys dropped from memory to make room for others.",
			func() int64 { return app.CacheStats().Evictions }),
	)
}

// logMetrics counts the requests that are missing in the log, by kind.
func logMetrics(rule *requestlog.Rule) (all []prometheus.Collector) {
	for _, kind := range requestlog.Kinds() {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "latchkey_log_omitted_requests_total",
			Help:        "Requests left out of the log because there were too many in a second, by kind.",
			ConstLabels: prometheus.Labels{"kind": kind.String()},
		}, func() float64 { return float64(rule.Omitted(kind)) }))
	}
	return all
}
