package domain

import (
	"net/netip"
	"testing"
)

// Guarantees that a key may be used from its networks and from nowhere else, also
// where an address of one family looks like one of the other.
func TestAllows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		networks []Network
		from     string // empty: unknown
		want     bool
	}{
		{nil, "", true},
		{nil, "203.0.113.1", true},
		{[]Network{"203.0.113.0/24"}, "", false},
		{[]Network{"0.0.0.0/0", "::/0"}, "", false},
		{[]Network{"203.0.113.0/24"}, "203.0.113.0", true},
		{[]Network{"203.0.113.0/24"}, "203.0.113.255", true},
		{[]Network{"203.0.113.0/24"}, "203.0.114.0", false},
		{[]Network{"203.0.113.0/24"}, "::ffff:203.0.113.1", true},
		{[]Network{"::ffff:203.0.113.0/120"}, "203.0.113.1", true},
		{[]Network{"::/0"}, "203.0.113.1", false},
		{[]Network{"0.0.0.0/0"}, "2001:db8::1", false},
		{[]Network{"0.0.0.0/0"}, "203.0.113.1", true},
		{[]Network{"198.51.100.1", "2001:db8::/32"}, "2001:db8:ffff::1", true},
		{[]Network{"198.51.100.1", "2001:db8::/32"}, "198.51.100.2", false},
		{[]Network{"::1"}, "::1", true},
		{[]Network{"not one"}, "203.0.113.1", false}, // never stored; if it were, it would open nothing
	} {
		secret, key := plainKey()
		key.AllowedIPs = c.networks
		proven := NewProvenKey(string(PackKey(nil, secret, key)), &Tenant{})
		var from netip.Addr
		if c.from != "" {
			from, _ = ParseAddress(c.from)
		}
		if got := proven.Allows(from); got != c.want {
			t.Errorf("%v from %q: got %v", c.networks, c.from, got)
		}
	}
}

// Guarantees that every change that opens a key to one more address widens it, and
// none that closes it to some.
func TestOutreaches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		after, before []Network
		want          bool
	}{
		{nil, nil, false},
		{[]Network{"203.0.113.0/24"}, nil, false},
		{nil, []Network{"203.0.113.0/24"}, true},
		{[]Network{"203.0.113.0/24"}, []Network{"203.0.113.0/24"}, false},
		{[]Network{"203.0.113.0/25"}, []Network{"203.0.113.0/24"}, false},
		{[]Network{"203.0.112.0/23"}, []Network{"203.0.113.0/24"}, true},
		{[]Network{"203.0.113.0/24", "198.51.100.1"}, []Network{"203.0.113.0/24"}, true},
		{[]Network{"203.0.113.1"}, []Network{"198.51.100.1", "203.0.113.0/24"}, false},
		{[]Network{"203.0.113.1"}, []Network{"::/0"}, true},
		{[]Network{"2001:db8::/32"}, []Network{"0.0.0.0/0"}, true},
	} {
		after, before := Key{AllowedIPs: c.after}, Key{AllowedIPs: c.before}
		if got := after.Outreaches(before); got != c.want || after.Widens(before) != c.want {
			t.Errorf("from %v to %v: got %v", c.before, c.after, got)
		}
	}
}
