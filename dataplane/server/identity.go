package server

import (
	"encoding/hex"
	"math/rand/v2"
	"net"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/qos/exchange"
)

// Headers that say who asks (spec 2.0, 10.1), in the form that fasthttp keeps names in.
const (
	headerRequest     = "X-Gravitee-Request-Id"
	headerTransaction = "X-Gravitee-Transaction-Id"
	headerClient      = "X-Gravitee-Client-Identifier"
)

var (
	keyRequest     = []byte(headerRequest)
	keyTransaction = []byte(headerTransaction)
	keyClient      = []byte(headerClient)
)

// maxSupplied bounds an id that a client brings, in bytes. What is longer, or holds anything but visible ASCII, counts as
// not brought: ids end up in logs, in headers and in the names of consumer groups (which Kafka bounds to 255).
const maxSupplied = 200

// uuidLen is the length of a UUID as text (RFC 9562 section 4).
const uuidLen = 36

// identify fills in who asks. All texts are one allocation: they may outlive the request, whose memory fasthttp reuses.
func identify(ctx *fasthttp.RequestCtx, x *exchange.Exchange) {
	x.RemoteAddr = ctx.RemoteAddr()
	transaction := supplied(ctx, headerTransaction)
	client := supplied(ctx, headerClient)

	var scratch [uuidLen + 2*maxSupplied + 64]byte
	b := appendUUID(scratch[:0])
	address := len(b)
	b = appendIP(b, x.RemoteAddr)
	brought := len(b)
	b = append(b, transaction...)
	effective := len(b)
	b = append(b, client...)
	end := len(b)
	if len(client) > 0 {
		b = appendEffective(b, b[effective:end], b[address:brought], transaction)
	}
	text := string(b)

	x.RequestID = text[:uuidLen]
	x.Subscription = text[address:brought] // of clients without a subscription (spec 6.4, 7.2)
	x.TransactionID = x.RequestID
	if len(transaction) > 0 {
		x.TransactionID = text[brought:effective]
	}
	x.ClientIdentifier = x.RequestID
	if len(client) > 0 {
		x.ClientSupplied = true
		x.ClientIdentifier = text[effective:]
	}
	h := &ctx.Response.Header
	h.SetCanonical(keyRequest, b[:uuidLen])
	if len(transaction) > 0 {
		h.SetCanonical(keyTransaction, transaction)
	} else {
		h.SetCanonical(keyTransaction, b[:uuidLen])
	}
	if len(client) > 0 {
		h.SetCanonical(keyClient, client)
	} else {
		h.SetCanonical(keyClient, b[:uuidLen])
	}
}

// appendEffective appends what makes the brought identifier unique to the client: a digest of its address, as keyless
// clients have no subscription (spec 2.0, 4.8), unless the identifier is one that ends with it or with the transaction.
func appendEffective(dst, client, address, transaction []byte) []byte {
	var own [16]byte
	appendDigest(own[:0], address)
	if hasSuffix(client, own[:]) || len(transaction) > 0 && hasSuffix(client, transaction) {
		return dst
	}
	dst = append(dst, '-')
	return append(dst, own[:]...)
}

func hasSuffix(b, suffix []byte) bool {
	return len(b) >= len(suffix) && string(b[len(b)-len(suffix):]) == string(suffix)
}

// appendDigest appends the FNV-1a hash of b as 16 hexadecimal digits: the same on every worker.
func appendDigest(dst, b []byte) []byte {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	var raw [8]byte
	for i := range raw {
		raw[i] = byte(h >> (56 - 8*i))
	}
	return hex.AppendEncode(dst, raw[:])
}

// introduce sets the ids on a response that lost its headers.
func introduce(ctx *fasthttp.RequestCtx, x *exchange.Exchange) {
	ctx.Response.Header.Set(headerRequest, x.RequestID)
	ctx.Response.Header.Set(headerTransaction, x.TransactionID)
}

// supplied returns an id that the client brought as a header or as a query parameter of the same name; nil: none.
func supplied(ctx *fasthttp.RequestCtx, name string) []byte {
	v := ctx.Request.Header.Peek(name)
	if len(v) == 0 && len(ctx.URI().QueryString()) > 0 {
		v = ctx.QueryArgs().Peek(name)
	}
	if len(v) > maxSupplied {
		return nil
	}
	for _, c := range v {
		if c <= ' ' || c > '~' {
			return nil
		}
	}
	return v
}

// appendUUID appends a random UUID (RFC 9562 section 5.4). The source of the runtime is per thread and takes no lock.
func appendUUID(dst []byte) []byte {
	hi, lo := rand.Uint64(), rand.Uint64()
	hi = hi&^0xF000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	var raw [16]byte
	for i := range 8 {
		raw[i], raw[8+i] = byte(hi>>(56-8*i)), byte(lo>>(56-8*i))
	}
	dst = hex.AppendEncode(dst, raw[0:4])
	dst = hex.AppendEncode(append(dst, '-'), raw[4:6])
	dst = hex.AppendEncode(append(dst, '-'), raw[6:8])
	dst = hex.AppendEncode(append(dst, '-'), raw[8:10])
	return hex.AppendEncode(append(dst, '-'), raw[10:16])
}

// appendIP appends the address without its port.
func appendIP(dst []byte, a net.Addr) []byte {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().AppendTo(dst)
	case nil:
		return dst
	}
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		host = a.String()
	}
	return append(dst, host[:min(len(host), 45)]...) // 45: the longest IPv6 address as text
}
