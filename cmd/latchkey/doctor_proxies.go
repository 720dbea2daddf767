package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// checkProxies asks the server on this machine, if one runs, whether requests name
// clients in a header while no proxy is trusted to send it.
func (d *doctor) checkProxies(ctx context.Context) error {
	ignored, ok := runningMetric(ctx, d.settings.AdminListen, ignoredMetric)
	switch {
	case !ok:
		return nil // no server runs here, or it is another version
	case ignored > 0:
		d.note("%.0f requests named their client in X-Forwarded-For, and %sTRUSTED_PROXIES names no proxy: "+
			"all clients of a proxy look like one and share its limits", ignored, settingPrefix)
	default:
		d.ok("proxies: the server that runs here knows its clients' addresses")
	}
	return nil
}

// ignoredMetric counts requests with an X-Forwarded-For while no proxy is trusted.
const ignoredMetric = "latchkey_forwarded_ignored_total"

// runningMetric returns a metric without labels from the server whose metrics are at
// the address; false: there is no such server or metric.
func runningMetric(ctx context.Context, address, name string) (value float64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	if path, isUnix := strings.CutPrefix(address, unixPrefix); isUnix {
		address = "localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, reachable(address)+"/metrics", nil)
	if err != nil {
		return 0, false
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return 0, false
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), name+" "); found {
			value, err = strconv.ParseFloat(text, 64)
			return value, err == nil
		}
	}
	return 0, false
}
