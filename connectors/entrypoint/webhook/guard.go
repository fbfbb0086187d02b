package webhook

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// guard keeps callbacks from reaching what only the gateway's own network should: subscribers choose the addresses. It is asked
// with the address that is dialled, after names were resolved, so that neither a name nor a spelling gets around it.
type guard struct{ allow []netip.Prefix }

// blocked is an address that callbacks must not go to.
type blocked struct {
	addr, rule string
	resolved   bool // a name led there; it may come to lead elsewhere
}

func (b *blocked) Error() string {
	return fmt.Sprintf("%s is %s, where webhooks must not go; the gateway's operator can allow it with --webhook-allow-cidr", b.addr, b.rule)
}

// rule names addresses that are not for the public.
type rule struct {
	name     string
	prefixes []netip.Prefix
}

func of(name string, prefixes ...string) rule {
	r := rule{name: name}
	for _, p := range prefixes {
		r.prefixes = append(r.prefixes, netip.MustParsePrefix(p))
	}
	return r
}

// rules follow the IANA special-purpose registries (RFC 6890 and updates), the narrowest first: its name says most.
var rules = []rule{
	// Link-local, unique-local and CGNAT addresses of clouds are in their ranges below; these are not, or deserve their name.
	of("a metadata service", "169.254.169.254/32", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128"),
	of("loopback", "127.0.0.0/8", "::1/128"),
	of("no address of a host", "0.0.0.0/8", "::/128"),
	of("private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
	of("shared by a carrier's customers (CGNAT)", "100.64.0.0/10"),
	of("link-local", "169.254.0.0/16", "fe80::/10"),
	of("unique-local", "fc00::/7"),
	of("site-local", "fec0::/10"),
	of("multicast", "224.0.0.0/4", "ff00::/8"),
	of("reserved", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16", "64:ff9b:1::/48"),
	of("a relay into IPv4", "192.88.99.0/24", "2001::/32", "2002::/16", "::/96"),
}

// nat64 holds IPv4 addresses in its last four bytes (RFC 6052): they are what is reached.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// check refuses an address, or returns nil.
func (g guard) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	for _, p := range g.allow {
		if unmapped(p).Contains(addr) {
			return nil
		}
	}
	if nat64.Contains(addr) {
		b := addr.As16()
		if err := g.check(netip.AddrFrom4([4]byte(b[12:]))); err != nil {
			return err
		}
		return nil
	}
	for _, r := range rules {
		for _, p := range r.prefixes {
			if p.Contains(addr) {
				return &blocked{addr: addr.String(), rule: r.name}
			}
		}
	}
	return nil
}

// unmapped is a prefix of IPv4 addresses written as IPv6 in its plain form.
func unmapped(p netip.Prefix) netip.Prefix {
	const mapped = 96 // bits before the IPv4 address
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p
}

// control is a net.Dialer's Control: the last stop before the address is dialled.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &blocked{addr: address, rule: "no IP address"}
	}
	return g.check(to.Addr())
}

// named refuses a host that a proxy would resolve, as far as the name itself tells: the proxy decides about the rest.
func (g guard) named(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.check(addr)
	}
	if addr, ok := parseLegacy(host); ok {
		return g.check(addr)
	}
	if name := strings.ToLower(strings.TrimSuffix(host, ".")); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return g.check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return nil
}

// parseLegacy reads an IPv4 address in the spellings of inet_aton, which a resolver may take: "2130706433", "0x7f.1", "0177.0.0.1".
func parseLegacy(host string) (netip.Addr, bool) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	const most = 4
	if len(parts) > most {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		n, ok := parseNumber(part)
		last := i == len(parts)-1
		left := uint(8 * (most - i)) // bits that this part may fill when it is the last
		switch {
		case !ok, last && n >= 1<<left, !last && n > 0xff:
			return netip.Addr{}, false
		case last:
			sum |= n
		default:
			sum |= n << (left - 8)
		}
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(sum))
	return netip.AddrFrom4(b), true
}

// parseNumber reads a number as C does: decimal, 0x and hexadecimal, 0 and octal.
func parseNumber(text string) (uint64, bool) {
	base, digits := 10, text
	switch {
	case strings.HasPrefix(text, "0x"), strings.HasPrefix(text, "0X"):
		base, digits = 16, text[2:]
	case len(text) > 1 && text[0] == '0':
		base, digits = 8, text[1:]
	}
	n, err := strconv.ParseUint(digits, base, 32)
	return n, err == nil
}
