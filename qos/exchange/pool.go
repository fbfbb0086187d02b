package exchange

import "sync"

var pool = sync.Pool{New: func() any { return new(Exchange) }}

// Get returns an empty exchange. The data plane makes exchanges; everybody else is given one.
func Get() *Exchange { return pool.Get().(*Exchange) }

// Release gives x back, where nobody keeps it. A detached exchange is kept, and left to the garbage collector.
func (x *Exchange) Release() {
	if x.detached {
		return
	}
	attributes := x.attributes
	clear(attributes)
	*x = Exchange{attributes: attributes}
	pool.Put(x)
}
