package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench"
)

// progress shows how far a measurement is: a bar that rewrites itself on a terminal, a line per step elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progress) show(now bench.Progress) {
	const width = 24
	steps := max(now.Steps, 1)
	full := min(width*max(now.Step-1, 0)/steps, width)
	left := now.Left.Round(time.Second).String()
	if !p.terminal {
		fmt.Fprintf(p.out, "[%d/%d] %s, about %s left\n", now.Step, now.Steps, now.Name, left)
		return
	}
	fmt.Fprintf(p.out, "\r\x1b[K[%s%s] %d/%d, about %s left: %s", strings.Repeat("#", full), strings.Repeat(".", width-full), now.Step, now.Steps, left, now.Name)
}

// end leaves the bar's line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.out)
	}
}
