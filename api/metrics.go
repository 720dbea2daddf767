package api

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/api/problem"
	"github.com/latchkey-dev/latchkey/domain"
)

// metrics counts requests and their time by operation and status. A request's
// series is looked up by label once, and by index after that.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refusals map[domain.Code]prometheus.Counter

	operations map[string]*series // by operationId; "" for requests to no operation
}

// series are the metrics of one operation.
type series struct {
	duration prometheus.Observer
	requests [600]atomic.Pointer[prometheus.Counter] // by status
}

func newMetrics(r prometheus.Registerer, operations []operation) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_http_requests_total", Help: "Requests answered, by operation and status.",
		}, []string{"operation", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "latchkey_http_request_duration_seconds", Help: "Time from a request's arrival to the end of its answer, by operation.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"operation"}),
		operations: map[string]*series{},
		refusals:   map[domain.Code]prometheus.Counter{},
	}
	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "latchkey_refusals_total", Help: "Requests that were answered with a problem, by its code.",
	}, []string{"code"})
	for _, code := range problem.Codes() {
		m.refusals[code] = refusals.WithLabelValues(string(code))
	}
	for _, op := range slices.Concat(operations, []operation{{}}) {
		label := op.id
		if label == "" {
			label = "none"
		}
		m.operations[op.id] = &series{duration: m.duration.WithLabelValues(label)}
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.requests), r.Register(m.duration), r.Register(refusals))
}

// refused counts the refusal that err is.
func (m *metrics) refused(err error) {
	refusal, _ := problem.Refusal(err)
	m.refusals[refusal.Code].Inc()
}

func (m *metrics) observe(operation string, status int, took time.Duration) {
	m.count(m.operations[operation], operation, status, took)
}

// count is like observe, for callers that already have the operation's series.
func (m *metrics) count(s *series, operation string, status int, took time.Duration) {
	s.duration.Observe(took.Seconds())
	if status < 0 || status >= len(s.requests) {
		status = http.StatusInternalServerError
	}
	counter := s.requests[status].Load()
	if counter == nil {
		if operation == "" {
			operation = "none"
		}
		fresh := m.requests.WithLabelValues(operation, strconv.Itoa(status))
		counter = &fresh
		s.requests[status].Store(counter)
	}
	(*counter).Inc()
}
