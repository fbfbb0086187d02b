// Package ipfiltering is the policy "ip-filtering" (policies.md 5.8): requests of clients by address are let through or refused with 403.
//
// It stands in the request phase. The client's addresses are that of its connection, or all of X-Forwarded-For, or the values of an
// expression. An address that the blacklist names is refused; then, where there is a whitelist, only what it names passes.
// Entries are addresses, CIDR ranges, and host names, which are looked up for each request, for at most two seconds; of host
// names in the whitelist every one must match. Expressions may give several entries, separated by commas.
//
// The failure is 403 without a key, so no response template renders it. A request without X-Forwarded-For where that is
// asked for is a 500 without a key. Other than in the reference blanks around entries do not count, and expressions without a value
// give no entry.
package ipfiltering

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of ip-filtering.
type Config struct {
	// MatchAllFromXForwardedFor takes the addresses of X-Forwarded-For instead of the connection's. Default false.
	MatchAllFromXForwardedFor bool `json:"matchAllFromXForwardedFor"`
	// UseCustomIPAddress takes the addresses that CustomIPAddress gives. Default false.
	UseCustomIPAddress bool `json:"useCustomIPAddress"`
	// CustomIPAddress is a text with expressions: addresses separated by commas.
	CustomIPAddress string `json:"customIPAddress"`
	// WhitelistIps are the only ones that pass, where there are any; they may hold expressions.
	WhitelistIps []string `json:"whitelistIps"`
	// BlacklistIps are refused; they may hold expressions.
	BlacklistIps []string `json:"blacklistIps"`
	// LookupIpVersion is which addresses of host names count: ALL (default), IPV4 or IPV6.
	LookupIpVersion string `json:"lookupIpVersion"`
	// IsInclusiveHostCount has the first and the last address of a range belong to it. Default false.
	IsInclusiveHostCount bool `json:"isInclusiveHostCount"`
}

// Bounds of a request.
const (
	lookupTime   = 2 * time.Second
	maxAddresses = 64
)

// Type is the catalog entry.
var Type = policies.Type{ID: "ip-filtering", Name: "IP Filtering", Phases: policies.Request, Config: &Config{LookupIpVersion: "ALL"}, Compile: compile}

type policy struct {
	config       Config
	custom       *policies.Expression
	white, black []entry
	network      string // of lookups
}

// entry is an entry of a list: fixed, or an expression.
type entry struct {
	fixed []item
	text  *policies.Expression
}

// item is one address, range or host.
type item struct {
	prefix netip.Prefix
	host   string
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	p := &policy{config: Config{LookupIpVersion: "ALL"}}
	problems := settings.Decode(cfg, &p.config)
	networks := map[string]string{"ALL": "ip", "": "ip", "IPV4": "ip4", "IPV6": "ip6"}
	network, ok := networks[p.config.LookupIpVersion]
	if !ok {
		problems = append(problems, settings.Invalid("/lookupIpVersion", "must be ALL, IPV4 or IPV6"))
	}
	p.network = network
	if p.config.UseCustomIPAddress {
		if strings.TrimSpace(p.config.CustomIPAddress) == "" {
			problems = append(problems, settings.Invalid("/customIPAddress", "is required with useCustomIPAddress"))
		} else {
			p.custom = policies.ParseAt(&problems, "/customIPAddress", p.config.CustomIPAddress)
		}
	}
	p.white = entries(&problems, "/whitelistIps", p.config.WhitelistIps)
	p.black = entries(&problems, "/blacklistIps", p.config.BlacklistIps)
	return p, problems
}

func entries(problems *apidef.Problems, at string, texts []string) []entry {
	var out []entry
	for i, text := range texts {
		e := policies.ParseAt(problems, fmt.Sprintf("%s/%d", at, i), text)
		switch {
		case e == nil:
		case e.Constant():
			out = append(out, entry{fixed: items(text)})
		default:
			out = append(out, entry{text: e})
		}
	}
	return out
}

// items reads a list separated by commas.
func items(text string) []item {
	var out []item
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" || len(out) == maxAddresses {
			continue
		}
		if a, err := netip.ParseAddr(part); err == nil {
			out = append(out, item{prefix: netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())})
		} else if r, err := netip.ParsePrefix(part); err == nil {
			out = append(out, item{prefix: r})
		} else {
			out = append(out, item{host: part})
		}
	}
	return out
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(ctx context.Context, c *policies.Context) error {
	callers, err := p.callers(c)
	if err != nil {
		return &message.Failure{Status: fasthttp.StatusInternalServerError, Message: err.Error(), Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	black, white := list(p.black, c), list(p.white, c)
	for _, i := range black {
		if i.host == "" && p.within(i.prefix, callers) {
			return refused(callers)
		}
	}
	for _, i := range black {
		if i.host != "" {
			if match, err := p.resolves(ctx, i.host, callers); match || err != nil {
				return refused(callers) // who cannot be told apart from a listed one is not let in
			}
		}
	}
	if len(p.white) == 0 || p.listed(ctx, white, callers) {
		return nil
	}
	return refused(callers)
}

// listed tells whether the whitelist lets somebody in.
func (p *policy) listed(ctx context.Context, white []item, callers []netip.Addr) bool {
	hosts := 0
	for _, i := range white {
		if i.host != "" {
			hosts++
		} else if p.within(i.prefix, callers) {
			return true
		}
	}
	for _, i := range white {
		if i.host != "" {
			if match, err := p.resolves(ctx, i.host, callers); !match || err != nil {
				return false
			}
		}
	}
	return hosts > 0
}

// callers are the client's addresses.
func (p *policy) callers(c *policies.Context) ([]netip.Addr, error) {
	var text string
	switch {
	case p.custom != nil:
		var err error
		if text, err = p.custom.Text(c); err != nil {
			return nil, fmt.Errorf("customIPAddress: %w", err)
		}
	case p.config.MatchAllFromXForwardedFor:
		if text = string(c.Exchange.HTTP.Request.Header.Peek(fasthttp.HeaderXForwardedFor)); text == "" {
			return nil, fmt.Errorf("the request has no header %s", fasthttp.HeaderXForwardedFor)
		}
	default:
		host, _, err := net.SplitHostPort(c.Exchange.RemoteAddr.String())
		if err != nil {
			return nil, fmt.Errorf("the client's address: %w", err)
		}
		text = host
	}
	var out []netip.Addr
	for part := range strings.SplitSeq(text, ",") {
		if a, err := netip.ParseAddr(strings.TrimSpace(part)); err == nil && len(out) < maxAddresses {
			out = append(out, a.Unmap().WithZone(""))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%.100q holds no address", text)
	}
	return out, nil
}

func list(entries []entry, c *policies.Context) []item {
	var out []item
	for i := range entries {
		if entries[i].text == nil {
			out = append(out, entries[i].fixed...)
		} else if text, err := entries[i].text.Text(c); err == nil {
			out = append(out, items(text)...)
		}
	}
	return out
}

// within tells whether one of the addresses is in a range.
func (p *policy) within(r netip.Prefix, callers []netip.Addr) bool {
	return slices.ContainsFunc(callers, func(a netip.Addr) bool {
		if !r.Contains(a) {
			return false
		}
		if p.config.IsInclusiveHostCount || r.IsSingleIP() {
			return true
		}
		return a != r.Masked().Addr() && r.Contains(a.Next())
	})
}

// resolves tells whether a host has one of the addresses.
func (p *policy) resolves(ctx context.Context, host string, callers []netip.Addr) (bool, error) {
	found, err := net.DefaultResolver.LookupNetIP(ctx, p.network, host)
	if err != nil {
		return false, fmt.Errorf("look up %s: %w", host, err)
	}
	return slices.ContainsFunc(found, func(a netip.Addr) bool { return slices.Contains(callers, a.Unmap()) }), nil
}

func refused(callers []netip.Addr) error {
	texts := make([]string, len(callers))
	for i, a := range callers {
		texts[i] = a.String()
	}
	return &message.Failure{Status: fasthttp.StatusForbidden,
		Message: "Your IP (" + strings.Join(texts, ", ") + ") or some proxies whereby your request pass through are not allowed to reach this resource."}
}

var _ policies.RequestPolicy = (*policy)(nil)
