// Package metrics counts what a gateway does, for Prometheus.
//
// No label has a value that a client or a canister could choose: an attacker who
// makes up hosts, paths and methods makes no new series.
package metrics

import (
	"net/http"
	"strconv"

	"portico/gateway/fetch"
	"portico/gateway/serve"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts requests (serve.Observer) and replicas' failures.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	problems *prometheus.CounterVec
	answers  *prometheus.CounterVec
	duration *prometheus.HistogramVec
	bytes    prometheus.Counter
	inFlight prometheus.Gauge
}

// New makes metrics; failures gives what went wrong with replicas so far.
func New(failures func() fetch.Failures) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "portico_gateway_" + name + "_total", Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("requests", "Requests that were answered, by what they are for and the class of the status.", "kind", "status"),
		problems: counter("problems", "Requests that were answered with a problem, by its code.", "code"),
		answers:  counter("answers", "Answers of canisters, by how they came.", "answer"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "portico_gateway_request_seconds", Help: "From the head of a request to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}, []string{"kind"}),
		bytes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "portico_gateway_sent_bytes_total", Help: "Bytes of the bodies of answers."}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "portico_gateway_in_flight", Help: "Requests that are being answered."}),
	}
	m.registry.MustRegister(
		m.requests, m.problems, m.answers, m.duration, m.bytes, m.inFlight, upstream{failures},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Registry is where further metrics of a gateway belong.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler answers with the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Began implements serve.Observer.
func (m *Metrics) Began() { m.inFlight.Inc() }

// Ended implements serve.Observer.
func (m *Metrics) Ended(s serve.Seen) {
	m.inFlight.Dec()
	m.requests.WithLabelValues(string(s.Kind), class(s.Status)).Inc()
	m.duration.WithLabelValues(string(s.Kind)).Observe(s.Duration.Seconds())
	m.bytes.Add(float64(s.Bytes))
	if s.Problem != "" {
		m.problems.WithLabelValues(s.Problem).Inc()
	}
	if s.Answer != "" {
		m.answers.WithLabelValues(s.Answer).Inc()
	}
}

// class is such as "2xx"; "none" if the connection broke first.
func class(status int) string {
	if status == 0 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}

// upstream collects the failures of replicas.
type upstream struct{ failures func() fetch.Failures }

func failuresDesc() *prometheus.Desc {
	return prometheus.NewDesc("portico_gateway_upstream_failures_total", "Replicas' answers that were none, by what was wrong.", []string{"reason"}, nil)
}

func retriesDesc() *prometheus.Desc {
	return prometheus.NewDesc("portico_gateway_upstream_retries_total", "Times that all replicas failed and all were asked again.", nil, nil)
}

// Describe implements prometheus.Collector.
func (upstream) Describe(to chan<- *prometheus.Desc) {
	to <- failuresDesc()
	to <- retriesDesc()
}

// Collect implements prometheus.Collector.
func (u upstream) Collect(to chan<- prometheus.Metric) {
	f := u.failures()
	desc := failuresDesc()
	for _, c := range []struct {
		reason string
		count  uint64
	}{
		{"connect", f.Connect},
		{"timeout", f.Timeout},
		{"broken", f.Broken},
		{"overloaded", f.Overloaded},
		{"status", f.Status},
	} {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(c.count), c.reason)
	}
	to <- prometheus.MustNewConstMetric(retriesDesc(), prometheus.CounterValue, float64(f.Retries))
}
