package outgoing_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/latchkey-dev/latchkey/service/outgoing"
)

// trap is a server on loopback that counts connections, and a resolver for which every
// name leads to given addresses.
type trap struct {
	port        string
	connections atomic.Int64
	asked       atomic.Int64
	resolver    *net.Resolver
}

// newTrap answers each question with the next of the addresses, and with the last one
// from then on.
func newTrap(t *testing.T, addresses ...string) *trap {
	t.Helper()
	c := &trap{}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, c.port, _ = net.SplitHostPort(listener.Addr().String())
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.connections.Add(1)
			_ = conn.Close()
		}
	}()
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go c.resolve(server, addresses)
	c.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	return c
}

func (c *trap) resolve(server net.PacketConn, addresses []string) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := server.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		m.Response, m.Authoritative, m.Additionals = true, true, nil
		head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type, TTL: 0}
		if q.Type == dnsmessage.TypeA {
			i := min(int(c.asked.Add(1)), len(addresses)) - 1
			a := netip.MustParseAddr(addresses[i])
			m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: a.As4()}}}
		}
		if packed, err := m.Pack(); err == nil {
			_, _ = server.WriteTo(packed, from)
		}
	}
}

// inside are 40 spellings of addresses that only this machine and its network can reach.
var inside = []string{
	"127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.000.000.001",
	"127.0.0.1.", "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "anything.localhost", "0.0.0.0", "0", "00000000",
	"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]",
	"[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1%25lo]", "[fe80::1]", "[fec0::1]",
	"[fd00::1]", "169.254.169.254", "[::ffff:169.254.169.254]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "inner.example.com",
	"127.0.0.1.nip.io", "１２７.0.0.1", "127。0。0。1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "224.0.0.1", "255.255.255.255", "198.18.0.1", "[ff02::1]", "[fd00:ec2::254]",
	"metadata.google.internal", "%6c%6f%63%61%6c%68%6f%73%74",
}

// Guarantees that no spelling of an inner address, and no name that leads to one, makes
// the client connect.
func TestNoSpellingReachesInside(t *testing.T) {
	t.Parallel()
	trap := newTrap(t, "127.0.0.1")
	client := outgoing.New(outgoing.Options{Resolver: trap.resolver})
	if len(inside) < 40 {
		t.Fatalf("the table has %d spellings", len(inside))
	}
	for _, host := range inside {
		for _, scheme := range []string{"https", "http"} {
			_, err := client.Post(t.Context(), scheme+"://"+host+":"+trap.port+"/", nil, nil)
			switch outgoing.ClassOf(err) {
			case outgoing.AddressNotAllowed, outgoing.Name, outgoing.Unusable:
			default:
				t.Errorf("%s://%s: got %v", scheme, host, err)
			}
		}
	}
	if n := trap.connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// Guarantees that of this machine's public addresses none is reached either, and that
// all ports that other services listen on are refused.
func TestOwnAddressesAndPortsAreRefused(t *testing.T) {
	t.Parallel()
	client := outgoing.New(outgoing.Options{})
	for _, port := range []string{"25", "22", "80", "1", "1023"} {
		_, err := client.Post(t.Context(), "https://8.8.8.8:"+port+"/", nil, nil)
		if got := outgoing.ClassOf(err); got != outgoing.AddressNotAllowed {
			t.Errorf("port %s: got %v", port, err)
		}
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	trap := newTrap(t, "127.0.0.1")
	for _, a := range own {
		p := netip.MustParsePrefix(a.String())
		_, err := client.Post(t.Context(), "https://"+net.JoinHostPort(p.Addr().WithZone("").String(), trap.port), nil, nil)
		if got := outgoing.ClassOf(err); got != outgoing.AddressNotAllowed {
			t.Errorf("%s: got %v", p, err)
		}
	}
	if n := trap.connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// Guarantees that a name that leads to a public address first, and to an inner one when
// it is asked again, leads nowhere: what is judged is the address that is dialed.
func TestRebinding(t *testing.T) {
	t.Parallel()
	trap := newTrap(t, "127.0.0.1")
	client := outgoing.New(outgoing.Options{Resolver: trap.resolver})
	u := &url.URL{Scheme: "https", Host: "rebind.example.com:" + trap.port}
	if why := client.Check(u); why != "" {
		t.Fatalf("the name is refused before it is resolved: %s", why)
	}
	for range 5 {
		_, err := client.Post(t.Context(), u.String(), nil, nil)
		if got := outgoing.ClassOf(err); got != outgoing.AddressNotAllowed {
			t.Errorf("got %v", err)
		}
	}
	if n := trap.connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// receiver is a server with TLS on loopback, and a client that may reach it and nothing
// else inside.
func receiver(t *testing.T, handle http.HandlerFunc) (address string, client *outgoing.Client) {
	t.Helper()
	server := httptest.NewTLSServer(handle)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	networks, err := outgoing.ParseNetworks([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	return server.URL, outgoing.New(outgoing.Options{Networks: networks, Roots: roots})
}

// Guarantees that a redirect is not followed, to the inside or anywhere else.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	trap := newTrap(t, "127.0.0.1")
	var status atomic.Int64
	address, client := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://127.0.0.1:"+trap.port+"/latest/meta-data")
		w.WriteHeader(int(status.Load()))
	})
	for _, s := range []int{300, 301, 302, 303, 307, 308, 399} {
		status.Store(int64(s))
		got, err := client.Post(t.Context(), address, nil, nil)
		if got != s || outgoing.ClassOf(err) != outgoing.Redirect {
			t.Errorf("%d: got %d, %v", s, got, err)
		}
	}
	if n := trap.connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestPost(t *testing.T) {
	t.Parallel()
	type request struct{ method, body, id, cookie, encoding string }
	requests := make(chan request, 2)
	address, client := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- request{r.Method, string(body), r.Header.Get("Webhook-Id"), r.Header.Get("Cookie"), r.Header.Get("Accept-Encoding")}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.WriteHeader(http.StatusAccepted)
	})
	for range 2 {
		status, err := client.Post(t.Context(), address, map[string]string{"Webhook-Id": "evt_1"}, []byte("{}"))
		if err != nil || status != http.StatusAccepted {
			t.Errorf("got %d, %v", status, err)
		}
		if got, want := <-requests, (request{"POST", "{}", "evt_1", "", ""}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// Guarantees that what a receiver does is named by its class, that nothing of its answer
// or address is in the error, and that no answer takes longer than the time for it.
func TestFailures(t *testing.T) {
	t.Parallel()
	address, client := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then the server does not see that a client has gone
		switch r.URL.Path {
		case "/hang":
			<-r.Context().Done()
		case "/cut":
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		case "/junk":
			conn, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprint(conn, "canary: no HTTP\r\n\r\n")
			_ = conn.Close()
		case "/header":
			w.Header().Set("X-Large", strings.Repeat("canary", 10_000))
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("canary", 1000)); err != nil {
					return
				}
			}
		default:
			http.Error(w, "canary", http.StatusInternalServerError)
		}
	})
	closed := strings.Replace(address, "https", "http", 1)
	for path, want := range map[string]outgoing.Class{
		address + "/hang": outgoing.Timeout, address + "/cut": outgoing.Answer, address + "/junk": outgoing.Answer,
		address + "/header": outgoing.Answer, address + "/500": outgoing.Status, closed + "/": outgoing.Status,
		"https://127.0.0.1:1/canary": outgoing.Connection, ":canary": outgoing.Unusable, "ftp://canary": outgoing.AddressNotAllowed,
	} {
		within := time.Minute
		if want == outgoing.Timeout {
			within = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		_, err := client.Post(ctx, path, nil, []byte("{}"))
		cancel()
		if got := outgoing.ClassOf(err); got != want {
			t.Errorf("%s: got %s (%v), want %s", path, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error repeats something: %v", path, err)
		}
	}
	if status, err := client.Post(t.Context(), address+"/endless", nil, nil); status != http.StatusOK || err != nil {
		t.Errorf("an endless answer: got %d, %v", status, err)
	}
}

// Guarantees that a server whose certificate is not trusted is sent nothing.
func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	address, _ := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("a request came through") })
	networks, err := outgoing.ParseNetworks([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = outgoing.New(outgoing.Options{Networks: networks}).Post(t.Context(), address, nil, []byte("{}"))
	if got := outgoing.ClassOf(err); got != outgoing.TLS {
		t.Errorf("got %s (%v)", got, err)
	}
}

func TestParseNetworks(t *testing.T) {
	t.Parallel()
	got, err := outgoing.ParseNetworks([]string{"10.2.0.0/16", "::1", "127.0.0.1"})
	if err != nil || fmt.Sprint(got) != "[10.2.0.0/16 ::1/128 127.0.0.1/32]" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, wrong := range []string{"", "10.2.0.1/16", "inner.example.com", "::ffff:10.0.0.0/104", "10.0.0.0/33"} {
		if got, err := outgoing.ParseNetworks([]string{wrong}); err == nil {
			t.Errorf("%q: got %v", wrong, got)
		}
	}
}

// Guarantees that an address is refused when it is chosen, as far as it can be known.
func TestCheck(t *testing.T) {
	t.Parallel()
	networks, err := outgoing.ParseNetworks([]string{"127.0.0.0/8", "10.2.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	public, dev := outgoing.New(outgoing.Options{}), outgoing.New(outgoing.Options{Networks: networks})
	for address, want := range map[string][2]bool{
		"https://example.com/hook": {true, true}, "https://8.8.8.8": {true, true}, "http://example.com": {false, false},
		"http://127.0.0.1:3000": {false, true}, "http://localhost:3000": {false, true}, "https://10.2.3.4": {false, true},
		"http://10.2.3.4": {false, false}, "https://10.3.0.1": {false, false}, "https://[64:ff9b::808:808]": {true, true},
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{public.Check(u) == "", dev.Check(u) == ""}; got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}
