package grid

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

// Short is every cell under one fault, and each fault on some cell: a cell gets the fault that the fewest have, so far.
func Short(cells []Cell) []Group {
	out := Full(nil)
	for _, c := range cells {
		var best *Group
		for i := range out {
			if out[i].Fault.Applies(c) && (best == nil || len(out[i].Cells) < len(best.Cells)) {
				best = &out[i]
			}
		}
		best.Cells = append(best.Cells, c)
	}
	return out
}
