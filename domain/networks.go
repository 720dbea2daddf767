package domain

import (
	"net/netip"
	"slices"
	"strings"
)

// Bounds of the networks that a key may be used from.
const (
	MaxNetworks      = 50 // entries
	MaxNetworkLength = 49 // characters
)

// Network is a range of addresses in CIDR notation (RFC 4632, RFC 4291), such as
// 203.0.113.0/24, or one address.
type Network string

// Prefix returns the network in one form for equal ones: a single address is a
// network of its own, and IPv4 in IPv6 is IPv4. If the text is no network, why says
// what is wrong.
func (n Network) Prefix() (p netip.Prefix, why string) {
	const form = "must be an address or a network, such as 203.0.113.0/24 or 2001:db8::/32"
	if len(n) > MaxNetworkLength {
		return netip.Prefix{}, form
	}
	p, err := netip.ParsePrefix(string(n))
	if !strings.Contains(string(n), "/") {
		var address netip.Addr
		address, err = netip.ParseAddr(string(n))
		p = netip.PrefixFrom(address.WithZone(""), address.BitLen())
		if address.Zone() != "" {
			return netip.Prefix{}, form
		}
	}
	const mapped = 96 // bits before the IPv4 address
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	switch {
	case err != nil || p.Addr().Is4In6():
		return netip.Prefix{}, form
	case p != p.Masked():
		return netip.Prefix{}, "must have no bits behind the length of its prefix: the network is " + p.Masked().String()
	}
	return p, ""
}

// ParseAddress returns the address of a text. IPv4 in IPv6 is IPv4. An address with
// a zone is none: it means something on one machine only.
func ParseAddress(s string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(s)
	return address.Unmap(), err == nil && address.Zone() == ""
}

// DistinctNetworks returns each network once, in the order of first appearance and
// as text in one form for equal ones. Texts that are no networks stay as they are.
func DistinctNetworks(networks []Network) []Network {
	var distinct []Network
	for _, n := range networks {
		if p, why := n.Prefix(); why == "" {
			n = Network(p.String())
		}
		if !slices.Contains(distinct, n) {
			distinct = append(distinct, n)
		}
	}
	return distinct
}

// within reports whether a key with networks may be used only from addresses from
// which one with outer may be used, too. No networks are all addresses.
func within(networks, outer []Network) bool {
	if len(networks) == 0 || len(outer) == 0 {
		return len(outer) == 0
	}
	return !slices.ContainsFunc(networks, func(n Network) bool {
		p, _ := n.Prefix()
		return !slices.ContainsFunc(outer, func(o Network) bool {
			around, _ := o.Prefix()
			return around.Bits() <= p.Bits() && around.Contains(p.Addr())
		})
	})
}

func (v *Invalid) networks(networks []Network) {
	if len(networks) > MaxNetworks {
		v.Add("/allowed_ips", "must have at most %d entries", MaxNetworks)
		return
	}
	for i, n := range networks {
		if _, why := n.Prefix(); why != "" {
			v.Add(pointer("allowed_ips", i), "%s", why)
		}
	}
}

// packedNetwork is how many bytes a network takes in a packed key: its address as
// IPv6, and the length of its prefix.
const packedNetwork = 16 + 1

// packNetworks returns networks in the form that appendNetworks and Allows read.
func packNetworks(networks []Network) string {
	b := make([]byte, 0, packedNetwork*len(networks))
	for _, n := range networks {
		if p, why := n.Prefix(); why == "" {
			address := p.Addr().As16()
			b = append(append(b, address[:]...), byte(p.Bits())) //nolint:gosec // 0 to 128
		}
	}
	return string(b)
}

// unpackNetwork returns the first network of packed ones. No network of IPv6 is
// within those addresses that stand for IPv4: Prefix makes them IPv4.
func unpackNetwork(packed string) netip.Prefix {
	var address [16]byte
	copy(address[:], packed)
	return netip.PrefixFrom(netip.AddrFrom16(address).Unmap(), int(packed[len(address)]))
}

// Allows reports whether the key may be used from an address, which ParseAddress
// returned. A key that is bound to networks may not be used from the zero Addr, which
// is unknown.
func (k ProvenKey) Allows(from netip.Addr) bool {
	if !k.Bound() {
		return true
	}
	r := k.texts()
	for packed := r.firstTexts()[packedNetworks]; packed != ""; packed = packed[packedNetwork:] {
		if unpackNetwork(packed).Contains(from) {
			return true
		}
	}
	return false
}

// Bound reports whether the key may be used from some addresses only.
func (k ProvenKey) Bound() bool { return k.flags()&packedBound != 0 }
