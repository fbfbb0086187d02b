// Command readme writes the measured part of a page anew from a result of sluice bench:
//
//	go run ./readme result.json page.md
package main

import (
	"fmt"
	"os"

	"github.com/sluice-gateway/sluice/bench"
	"github.com/sluice-gateway/sluice/bench/report"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "readme:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("say which result and which page: readme result.json page.md")
	}
	r, err := bench.Read(args[0])
	if err != nil {
		return err
	}
	page, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	page, err = report.ReplaceSection(page, r)
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	return os.WriteFile(args[1], page, 0o644)
}
