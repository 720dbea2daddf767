package outgoing

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// special are the networks within what is routed on the internet that hold no public
// servers, by the registries of IANA (RFC 6890): private and shared ones, this machine,
// one link, documentation, benchmarks, multicast, what is reserved, and those whose
// addresses lead elsewhere, such as 6to4 and Teredo.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
}

// global has every public server of IPv6. What is outside is for one link, site or
// machine, or not assigned.
var global = netip.MustParsePrefix("2000::/3")

// nat64 has the public IPv4 servers as networks without IPv4 see them (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// public reports whether an address is that of a public server. IPv4 in IPv6 is judged as
// IPv4.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) {
		bytes := a.As16()
		a = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if !a.IsValid() || a.Zone() != "" || a.Is6() && !global.Contains(a) {
		return false
	}
	return !contains(special, a)
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// permit returns a Failure unless a connection to an address may be made.
func (c *Client) permit(to netip.AddrPort) error {
	address := to.Addr().Unmap()
	switch {
	case contains(c.networks, address):
		return nil
	case !public(address), c.own(address):
		return fail(AddressNotAllowed, "the address is not public")
	case !portAllowed(to.Port()):
		return fail(AddressNotAllowed, "the port is not allowed")
	}
	return nil
}

// portAllowed reports whether a port may be of a tenant's choice. Below 1024 are services
// that never expect what is sent here, such as mail servers.
func portAllowed(port uint16) bool { return port == 443 || port >= 1024 }

// ownAddresses returns whether an address is one of this machine. If that is not known,
// every address is.
func ownAddresses(a netip.Addr) bool {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(own, func(n net.Addr) bool {
		p, err := netip.ParsePrefix(n.String())
		return err == nil && p.Addr().Unmap() == a
	})
}

// ParseNetworks reads the networks of a setting. One that is written twice, or within
// another one, does no harm.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if a, wrong := netip.ParseAddr(text); wrong == nil {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil || p != p.Masked() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is not a network such as 10.2.0.0/16", text)
		}
		networks = append(networks, p)
	}
	return networks, nil
}
