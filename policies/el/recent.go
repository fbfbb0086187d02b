package el

import (
	"maps"
	"strings"
	"sync/atomic"
)

// recent keeps what was compiled of computed texts at one place of an expression. It forgets all when it is full: what is used
// comes back. The zero value is ready; any goroutine may use it.
type recent[T any] struct{ known atomic.Pointer[map[string]T] }

// maxRecent bounds how many are kept.
const maxRecent = 128

func (r *recent[T]) find(src string) (T, bool) {
	if known := r.known.Load(); known != nil {
		t, ok := (*known)[src]
		return t, ok
	}
	var none T
	return none, false
}

// keep adds one to a copy. Where two do so at once, one of the additions is lost, and made again when it is needed.
func (r *recent[T]) keep(src string, t T) {
	next := map[string]T{strings.Clone(src): t}
	if known := r.known.Load(); known != nil && len(*known) < maxRecent {
		maps.Copy(next, *known)
	}
	r.known.Store(&next)
}
