package callout

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Guard keeps outward calls from addresses that only the worker's own machine should reach: the metadata services of clouds,
// which hand out credentials, and the link-local ranges that they are in. It is asked with the address that is dialled, after
// names were resolved, so that neither a name nor a spelling gets around it.
//
// Publishers of APIs are trusted with more than subscribers of webhooks: loopback and private addresses are allowed. But what a
// publisher writes may hold expressions over what clients send.
type Guard struct {
	// Allow are addresses that may be called although they are refused by default.
	Allow []netip.Prefix
}

// Refused is an address that calls must not go to.
type Refused struct {
	Address string
	Rule    string // what kind of address it is
}

func (r *Refused) Error() string {
	return fmt.Sprintf("%s is %s, where policies must not call; the gateway's operator can allow it", r.Address, r.Rule)
}

// rules name what is refused, the narrowest first: its name says most.
var rules = []struct {
	name     string
	prefixes []netip.Prefix
}{
	{"a metadata service", prefixes("169.254.169.254/32", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128")},
	{"link-local", prefixes("169.254.0.0/16", "fe80::/10")},
	{"multicast", prefixes("224.0.0.0/4", "ff00::/8")},
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// embedding are IPv6 ranges that hold an IPv4 address, and where: it is what is reached.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4, RFC 3056
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible, RFC 4291
}

// check refuses an address, or returns nil.
func (g Guard) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	for _, p := range g.Allow {
		if p.Contains(addr) {
			return nil
		}
	}
	for _, e := range embedding {
		if e.prefix.Contains(addr) {
			b := addr.As16()
			if err := g.check(netip.AddrFrom4([4]byte(b[e.at:]))); err != nil {
				return err
			}
		}
	}
	for _, r := range rules {
		for _, p := range r.prefixes {
			if p.Contains(addr) {
				return &Refused{Address: addr.String(), Rule: r.name}
			}
		}
	}
	return nil
}

// Dial connects, unless the address is refused. It is what a worker gives to policies (policies.Env.Dial).
func (g Guard) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Control: g.control}
	return d.DialContext(ctx, network, address)
}

// control is the last stop before an address is dialled.
func (g Guard) control(network, address string, _ syscall.RawConn) error {
	if network == "unix" {
		return &Refused{Address: address, Rule: "a socket of the worker's machine"}
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Refused{Address: address, Rule: "no IP address"}
	}
	return g.check(to.Addr())
}
