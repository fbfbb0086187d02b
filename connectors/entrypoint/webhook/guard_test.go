package webhook

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/message"
)

func TestGuard_Addresses(t *testing.T) {
	t.Parallel()
	for addr, rule := range map[string]string{
		"8.8.8.8": "", "2606:4700:4700::1111": "", "::ffff:8.8.8.8": "", "64:ff9b::8.8.8.8": "", "172.32.0.1": "", "100.128.0.1": "",
		"127.0.0.1": "loopback", "127.255.0.9": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback", "64:ff9b::127.0.0.1": "loopback",
		"0.0.0.0": "no address", "0.1.2.3": "no address", "::": "no address",
		"10.0.0.1": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private", "::ffff:192.168.1.1": "private",
		"100.64.0.1": "CGNAT", "100.127.255.255": "CGNAT",
		"169.254.1.1": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local", "fd12::1": "unique-local", "fec0::1": "site-local",
		"169.254.169.254": "metadata", "::ffff:169.254.169.254": "metadata", "fd00:ec2::254": "metadata", "168.63.129.16": "metadata", "100.100.100.200": "metadata", "192.0.0.192": "metadata",
		"224.0.0.1": "multicast", "239.1.1.1": "multicast", "ff02::1": "multicast",
		"255.255.255.255": "reserved", "240.0.0.1": "reserved", "198.18.0.1": "reserved", "203.0.113.9": "reserved", "2001:db8::1": "reserved", "64:ff9b:1::1": "reserved",
		"2002:7f00:1::": "relay", "2001:0:1::1": "relay", "::127.0.0.1": "relay",
	} {
		err := guard{}.check(netip.MustParseAddr(addr))
		switch {
		case rule == "" && err != nil:
			t.Errorf("%s: %v", addr, err)
		case rule != "" && (err == nil || !strings.Contains(err.Error(), rule) || !strings.Contains(err.Error(), "--webhook-allow-cidr")):
			t.Errorf("%s: %v, want %s and the flag", addr, err, rule)
		}
	}
}

func TestGuard_Allowed(t *testing.T) {
	t.Parallel()
	g := guard{[]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::ffff:192.168.7.0/120"), netip.MustParsePrefix("fd00:1::/64")}}
	for addr, want := range map[string]bool{"10.1.2.3": true, "10.2.0.1": false, "192.168.7.9": true, "192.168.8.1": false, "fd00:1::5": true, "fd00:2::5": false,
		"::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true} {
		if err := g.check(netip.MustParseAddr(addr)); (err == nil) != want {
			t.Errorf("%s: %v, want allowed %t", addr, err, want)
		}
	}
}

// TestGuard_Dispatch: every spelling and a name, through the whole of it. Nobody may be called.
func TestGuard_Dispatch(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	port := r.URL[strings.LastIndexByte(r.URL, ':'):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0.0.0.0"} {
		b := newBed(t, qos.AtLeastOnce, to("http://"+host+port))
		b.env.WebhookAllow = nil
		err := b.all(data("k")...)
		f := failure(t, err)
		// A resolver that does not take a spelling of a number says that there is no such host: just as good.
		if f.Key != "WEBHOOK_ADDRESS_REFUSED" && !strings.Contains(err.Error(), "no such host") && !strings.Contains(err.Error(), "server misbehaving") {
			t.Errorf("%s: %v", host, err)
		}
		if f.Key == "WEBHOOK_ADDRESS_REFUSED" && (f.Retry || !strings.Contains(err.Error(), "--webhook-allow-cidr")) {
			t.Errorf("%s: %+v", host, f)
		}
	}
	if n := len(r.got()); n != 0 {
		t.Errorf("%d calls came through", n)
	}
}

// TestGuard_NamesMayComeToLeadElsewhere: an address that is written down stays what it is.
func TestGuard_NamesMayComeToLeadElsewhere(t *testing.T) {
	t.Parallel()
	for _, resolved := range []bool{false, true} {
		s := result{err: fmt.Errorf("dial: %w", &blocked{addr: "10.0.0.1", rule: "private", resolved: resolved})}
		if f := s.failure(fatal, "deliver"); f.Key != message.KeyWebhookRefused || f.Retry != resolved {
			t.Errorf("resolved %t: %+v", resolved, f)
		}
	}
}

func TestGuard_Named(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{"example.com": true, "8.8.8.8": true, "localhost": false, "LOCALHOST.": false, "a.localhost": false, "127.0.0.1": false,
		"127.1": false, "2130706433": false, "0x7f.1": false, "0177.0.0.1": false, "::1": false, "10.0.0.1": false, "1.2.3.4.5": true, "0x": true, "134744072": true, "256.1.1.1": true} {
		if err := (guard{}).named(host); (err == nil) != want {
			t.Errorf("%s: %v, want allowed %t", host, err, want)
		}
	}
}

// TestGuard_TokenEndpoint: a token endpoint is an address that the subscriber chose, too.
func TestGuard_TokenEndpoint(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := newBed(t, qos.AtLeastOnce, to(r.URL, `"auth":{"type":"oauth2","oauth2":{"endpoint":"http://169.254.169.254/token","clientId":"c","clientSecret":"s"}}`))
	f := failure(t, b.all(data("k")...))
	if f.Key != "WEBHOOK_ADDRESS_REFUSED" || f.Retry || len(r.got()) != 0 {
		t.Errorf("%+v", f)
	}
}
