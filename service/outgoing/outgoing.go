// Package outgoing sends requests to addresses that tenants have named. A tenant must not
// reach what only this machine can reach, so every connection is judged by the address
// that it is made to, after names have been resolved: a name cannot change in between.
// A request follows no redirect, carries no credentials, uses no proxy of the environment,
// and is bounded in time and in what is read of the answer.
package outgoing

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Options say how a Client differs from one for the internet.
type Options struct {
	// Networks may be reached although they are not public. On loopback addresses within
	// them, http is allowed beside https.
	Networks []netip.Prefix
	Roots    *x509.CertPool // who signs the certificates of servers; nil: those of the system
	Resolver *net.Resolver  // nil: that of the system
}

// Bounds of a request.
const (
	maxHeader   = 16 << 10 // bytes of the answer's header
	maxBody     = 4 << 10  // bytes of an answer that are read, so that the connection can be used again
	idle        = 30 * time.Second
	idleTotal   = 64
	idlePerHost = 4
)

// Client sends requests. It may be used by many goroutines.
type Client struct {
	networks []netip.Prefix
	own      func(netip.Addr) bool
	http     http.Client
}

// New returns a Client.
func New(o Options) *Client {
	c := &Client{networks: o.Networks, own: ownAddresses}
	dialer := &net.Dialer{Resolver: o.Resolver, ControlContext: c.control}
	c.http = http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			DisableCompression:     true,
			MaxIdleConns:           idleTotal,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        idle,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// control judges an address after names have been resolved, just before a connection
// to it is made.
func (c *Client) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return fail(AddressNotAllowed, "the address is not one of TCP")
	}
	return c.permit(to)
}

// Check returns why nothing can be sent to an address, as far as that is known without
// resolving its name; empty if nothing is wrong.
func (c *Client) Check(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	a, err := netip.ParseAddr(host)
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		a, err = loopback, nil
	}
	a = a.Unmap()
	switch inside := err == nil && contains(c.networks, a); {
	case u.Scheme == "http" && (!inside || !a.IsLoopback()), u.Scheme != "http" && u.Scheme != "https":
		return "must begin with https://"
	case err == nil && !inside && (!public(a) || c.own(a)):
		return "must be a public address"
	}
	return ""
}

// Post sends a body and returns the status of the answer, 0 if there is none. Its error
// is nil for a status of 2xx and a *Failure for anything else. Nothing of the answer's
// header or body is returned: they may come from what a tenant must not see.
func (c *Client) Post(ctx context.Context, address string, header map[string]string, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, fail(Unusable, "the address cannot be used")
	}
	if why := c.Check(request.URL); why != "" {
		return 0, fail(AddressNotAllowed, "the address "+why)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, classify(err)
	}
	defer answer.Body.Close()
	if answer.ContentLength <= maxBody {
		_, _ = io.CopyN(io.Discard, answer.Body, maxBody) // the answer has come, whatever its body does
	}
	switch {
	case answer.StatusCode/100 == 2:
		return answer.StatusCode, nil
	case answer.StatusCode/100 == 3:
		return answer.StatusCode, fail(Redirect, "the answer is a redirect, which is not followed")
	}
	return answer.StatusCode, fail(Status, "the status of the answer is not 2xx")
}

// Close ends the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// classify returns the Failure for an error of a request. Errors of the standard library
// repeat addresses and parts of answers, so nothing of them is kept.
func classify(err error) error {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	if isTimeout(err) {
		return fail(Timeout, "there was no answer in time")
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return fail(Name, "the name of the host cannot be resolved")
	}
	if isTLS(err) {
		return fail(TLS, "there is no verified TLS connection")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fail(Connection, "the host does not accept connections")
	}
	return fail(Answer, "the connection ended before an answer, or the answer is not HTTP")
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok || strings.Contains(err.Error(), "HTTP response to HTTPS client") || strings.Contains(err.Error(), "remote error: tls")
}
