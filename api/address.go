package api

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// addresses finds the client address of each request. It believes
// X-Forwarded-For only from trusted proxies and from the peer of a Unix socket,
// because the permissions of the socket's file say who may connect.
type addresses struct {
	trusted []netip.Prefix
	log     *slog.Logger
	warned  sync.Once
	ignored atomic.Int64 // requests with X-Forwarded-For while no proxy is trusted
}

func newAddresses(trusted []netip.Prefix, log *slog.Logger) *addresses {
	a := &addresses{log: log}
	for _, p := range trusted {
		a.trusted = append(a.trusted, p.Masked())
	}
	return a
}

// client returns the address of a request's client: the peer of the connection
// or, if that peer is trusted, the last address before the trusted proxies. It
// is empty for the peer of a Unix socket that sends no X-Forwarded-For.
func (a *addresses) client(r *http.Request) string {
	peer := peerOf(r)
	entries := r.Header[echo.HeaderXForwardedFor]
	if peer.IsValid() && !a.trusts(peer) {
		if len(entries) > 0 && len(a.trusted) == 0 {
			a.warn(peer)
		}
		return peer.String()
	}
	nearest, _ := a.nearest(peer, entries)
	return text(nearest)
}

// forwarded returns the address of the client whose request a proxy asks about. It is
// empty unless the peer is trusted and says it: the address of the proxy itself is that
// of no client.
func (a *addresses) forwarded(r *http.Request) string {
	entries := r.Header[echo.HeaderXForwardedFor]
	if len(entries) == 0 {
		return ""
	}
	peer := peerOf(r)
	if peer.IsValid() && !a.trusts(peer) {
		if len(a.trusted) == 0 {
			a.warn(peer)
		}
		return ""
	}
	client, ok := a.nearest(netip.Addr{}, entries)
	if !ok {
		return ""
	}
	return text(client)
}

func peerOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// nearest returns the last address of X-Forwarded-For that no trusted proxy has. It reports
// false for the one before an entry that cannot be read.
func (a *addresses) nearest(peer netip.Addr, entries []string) (netip.Addr, bool) {
	for _, header := range slices.Backward(entries) {
		for _, entry := range slices.Backward(strings.Split(header, ",")) {
			address, ok := parseForwarded(entry)
			if !ok {
				return peer, false
			}
			peer = address
			if !a.trusts(address) {
				return peer, true
			}
		}
	}
	return peer, true
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (a *addresses) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(a.trusted, func(p netip.Prefix) bool { return p.Contains(address) })
}

// warn logs, once, that there seems to be a proxy that is not trusted.
func (a *addresses) warn(peer netip.Addr) {
	a.ignored.Add(1)
	a.warned.Do(func() {
		a.log.Warn("X-Forwarded-For is ignored, because no proxy is trusted: "+
			"all clients of a proxy look like one and share its limits", "peer", peer.String(), "set", "LATCHKEY_TRUSTED_PROXIES")
	})
}

// metric counts the requests that warn warns about.
func (a *addresses) metric() prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "latchkey_forwarded_ignored_total", Help: "Requests with an X-Forwarded-For header while no proxy is trusted.",
	}, func() float64 { return float64(a.ignored.Load()) })
}

// parseForwarded reads an entry of X-Forwarded-For: an address with or without a
// port. IPv6 addresses may be in brackets.
func parseForwarded(entry string) (netip.Addr, bool) {
	entry = strings.TrimSpace(entry)
	if at, err := netip.ParseAddrPort(entry); err == nil {
		return at.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(entry, "["); ok {
		if entry, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
	}
	address, err := netip.ParseAddr(entry)
	return address.Unmap().WithZone(""), err == nil
}
