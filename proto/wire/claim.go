package wire

import (
	"errors"
	"fmt"
	"strings"
)

// ErrClaim is returned for a connection name that is no worker's claim.
var ErrClaim = errors.New("not a worker's claim")

// claimPrefix opens a claim; maxClaimBytes bounds one: every byte of the names escaped.
const (
	claimPrefix   = "sluice-worker/"
	maxClaimBytes = len(claimPrefix) + 3*maxNodeBytes + maxWorkerTags*(3*maxTagBytes+1) + 1
)

// Claim is who a worker says it is when it connects to NATS, in the name of its connection. It proves nothing by itself:
// who authorizes the connection weighs it against the worker's nkey. Where each worker has a key of its own, the claim
// must be that key's; where all share one, the claim keeps honest workers apart, and a dishonest one is as any of them.
type Claim struct {
	Worker string
	Tags   []string // to follow, without exclusions
}

// ClaimOf is the claim of a worker with this selector.
func ClaimOf(worker string, sel Selector) Claim { return Claim{Worker: worker, Tags: sel.include} }

// String is the claim as a connection's name.
func (c Claim) String() string {
	tags := make([]string, len(c.Tags))
	for i, t := range c.Tags {
		tags[i] = token(t)
	}
	return claimPrefix + token(c.Worker) + "/" + strings.Join(tags, ",")
}

// ParseClaim reads a connection's name.
func ParseClaim(name string) (Claim, error) {
	body, ok := strings.CutPrefix(name, claimPrefix)
	worker, tags, cut := strings.Cut(body, "/")
	if !ok || !cut || len(name) > maxClaimBytes {
		return Claim{}, ErrClaim
	}
	var (
		c   Claim
		err error
	)
	if c.Worker, err = untoken(worker); err != nil {
		return Claim{}, err
	}
	for t := range strings.SplitSeq(tags, ",") {
		if tags == "" {
			break
		}
		tag, err := untoken(t)
		if err != nil {
			return Claim{}, err
		}
		c.Tags = append(c.Tags, tag)
	}
	_, err = c.Permissions()
	return c, err
}

// Permissions is what a worker that is who it claims to be may do.
func (c Claim) Permissions() (Permissions, error) {
	if err := CheckName(c.Worker); err != nil {
		return Permissions{}, err
	}
	if len(c.Tags) > maxWorkerTags {
		return Permissions{}, ErrTooManyTags
	}
	for _, t := range c.Tags {
		if _, err := StreamOf(t); err != nil {
			return Permissions{}, err
		}
	}
	return WorkerPermissions(c.Worker, Selector{include: c.Tags}), nil
}

// untoken undoes token.
func untoken(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '_' {
			if i+2 >= len(s) {
				return "", fmt.Errorf("%w: %q", ErrClaim, s)
			}
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi < 0 || lo < 0 {
				return "", fmt.Errorf("%w: %q", ErrClaim, s)
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		b.WriteByte(c)
	}
	if token(b.String()) != s {
		return "", fmt.Errorf("%w: %q", ErrClaim, s)
	}
	return b.String(), nil
}
