package grid

import (
	"slices"
)

// Group is the cells that are under one fault.
type Group struct {
	Fault Fault
	Cells []Cell
}

// Full is every cell under every fault that can happen to it.
func Full(cells []Cell) []Group {
	var out []Group
	for _, f := range Faults() {
		g := Group{Fault: f}
		for _, c := range cells {
			if f.Applies(c) {
				g.Cells = append(g.Cells, c)
			}
		}
		out = append(out, g)
	}
	return out
}

// Short is every cell under one fault, and each fault on some cell: a cell gets the fault that the fewest have, so far. Since
// advanced names are tried without faults, those are nearly all that is.
func Short(cells []Cell) []Group {
	out := Full(nil)
	load := make([]int, len(out))
	for _, c := range cells {
		best := -1
		for i := range out {
			if out[i].Fault.Applies(c) && (best < 0 || load[i] < load[best]) {
				best = i
			}
		}
		load[best]++
		if Unkept(out[best].Fault, c) != "" {
			best = 0 // without a fault
		}
		out[best].Cells = append(out[best].Cells, c)
	}
	return out
}

// unkept are the promises that are known to be broken, by the names of the cell and the fault.
var unkept = map[string]string{}

// Unkept says what is known to be broken where a cell meets a fault; empty: nothing. The short grid leaves these out, the
// full one runs them, and the page names them.
func Unkept(f Fault, c Cell) string { return unkept[c.String()+" "+f.Name] }

// Batches cuts a group into batches of at most so many cells, about as large as each other.
func (g *Group) Batches(most int) [][]Cell {
	n := (len(g.Cells) + most - 1) / most
	if n == 0 {
		return nil
	}
	return slices.Collect(slices.Chunk(g.Cells, (len(g.Cells)+n-1)/n))
}
