package httpfront

import (
	"bytes"
	"math"
	"sort"
)

// maxAcceptRanges bounds how many media ranges of one Accept header are looked at; what follows counts as absent.
const maxAcceptRanges = 32

// mediaRange is one element of an Accept header: "text/html;level=1;q=0.4".
type mediaRange struct {
	name    []byte // "text/html", as sent
	quality int    // thousandths
}

// eachRange calls f with the elements of an Accept header, in order, until f returns false.
func eachRange(accept []byte, f func(mediaRange) bool) {
	for n := 0; len(accept) > 0 && n < maxAcceptRanges; n++ {
		var element []byte
		element, accept, _ = bytes.Cut(accept, []byte{','})
		name, parameters, _ := bytes.Cut(element, []byte{';'})
		name = bytes.TrimSpace(name)
		if len(name) > 0 && !f(mediaRange{name, quality(parameters)}) {
			return
		}
	}
}

// quality reads the weight among the parameters of a media range, in thousandths; 1000 where there is none, 0 where it is
// malformed (RFC 9110 section 12.4.2 has at most three decimals).
func quality(parameters []byte) int {
	for len(parameters) > 0 {
		var p []byte
		p, parameters, _ = bytes.Cut(parameters, []byte{';'})
		name, value, ok := bytes.Cut(bytes.TrimSpace(p), []byte{'='})
		if !ok || len(name) != 1 || name[0]|0x20 != 'q' {
			continue
		}
		return weight(value)
	}
	return 1000
}

func weight(value []byte) int {
	if len(value) == 0 || len(value) > 5 || value[0] != '0' && value[0] != '1' || len(value) > 1 && value[1] != '.' {
		return 0
	}
	q, unit := int(value[0]-'0')*1000, 100
	for _, digit := range value[min(2, len(value)):] {
		if digit < '0' || digit > '9' {
			return 0
		}
		q += int(digit-'0') * unit
		unit /= 10
	}
	return min(q, 1000)
}

// Accepts tells whether an Accept header names the media type itself, not by a wildcard.
func Accepts(accept []byte, mediaType string) bool {
	found := false
	eachRange(accept, func(r mediaRange) bool {
		found = r.quality > 0 && equalFold(r.name, mediaType)
		return !found
	})
	return found
}

// WantsJSON tells whether failures are rendered as JSON for this Accept header (spec 2.9).
func WantsJSON(accept []byte) bool {
	return Accepts(accept, "application/json") || Accepts(accept, "*/*")
}

// Negotiate returns the index of the offer that an Accept header prefers, or -1 where it refuses all. The best quality wins,
// then the client's order. "*/*" means offer any; "text/*" the first offer of that kind; no header means absent.
func Negotiate(accept []byte, offers []string, anyOffer, absent int) int {
	var ranges []mediaRange
	eachRange(accept, func(r mediaRange) bool {
		ranges = append(ranges, r)
		return true
	})
	if len(ranges) == 0 {
		return absent
	}
	sort.SliceStable(ranges, func(i, j int) bool { return ranges[i].quality > ranges[j].quality })
	best, bestRank := -1, math.MaxInt
	for rank, r := range ranges {
		if r.quality == 0 {
			break
		}
		offer, exact := match(r.name, offers, anyOffer)
		if offer < 0 || refused(ranges, offers[offer]) {
			continue
		}
		if exact {
			return offer // a type named goes before any wildcard (spec 2.2 rule 1)
		}
		if rank < bestRank {
			best, bestRank = offer, rank
		}
	}
	return best
}

// match returns the offer that a media range means, -1 for none, and whether it names the offer itself.
func match(name []byte, offers []string, anyOffer int) (offer int, exact bool) {
	if string(name) == "*/*" || string(name) == "*" {
		return anyOffer, false
	}
	kind, wild := bytes.CutSuffix(name, []byte("*"))
	for i, o := range offers {
		if equalFold(name, o) {
			return i, true
		}
		if wild && len(kind) > 1 && len(o) >= len(kind) && equalFold(kind, o[:len(kind)]) {
			return i, false
		}
	}
	return -1, false
}

// refused tells whether the client named the offer with quality 0.
func refused(ranges []mediaRange, offer string) bool {
	for _, r := range ranges {
		if r.quality == 0 && equalFold(r.name, offer) {
			return true
		}
	}
	return false
}

func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}
