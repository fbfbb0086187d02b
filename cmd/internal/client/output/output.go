// Package output writes what commands have to say: aligned tables for people, JSON and YAML for programs. It decides
// nothing about what is said.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Format is a form of output.
type Format string

// Formats.
const (
	Table Format = ""
	Wide  Format = "wide" // a table with more columns
	JSON  Format = "json"
	YAML  Format = "yaml"
	Name  Format = "name" // one name a line
)

// Machine tells whether programs read the format.
func (f Format) Machine() bool { return f == JSON || f == YAML }

// Write writes v, as encoding/json sees it, as JSON or YAML.
func Write(w io.Writer, f Format, v any) error {
	data, err := marshal(v)
	if err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	return WriteJSON(w, f, data)
}

// marshal is json.Marshal without the escapes that only HTML needs.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// WriteJSON writes JSON text as indented JSON or as YAML, members in their order.
func WriteJSON(w io.Writer, f Format, data []byte) error {
	if f != YAML {
		var b bytes.Buffer
		if err := json.Indent(&b, bytes.TrimSpace(data), "", "  "); err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		b.WriteByte('\n')
		_, err := w.Write(b.Bytes())
		return err
	}
	var doc yaml.Node // JSON is YAML, and a node keeps the order of members and the digits of numbers
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	block(&doc)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	return enc.Close()
}

// block gives a node that was read from JSON the style of YAML.
func block(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && strings.Contains(n.Value, "\n") {
		n.Style = yaml.LiteralStyle
	}
	for _, child := range n.Content {
		block(child)
	}
}

// Grid is a table: a header, where there is one, and rows.
type Grid struct {
	Header []string
	Rows   [][]Cell
	Indent string
}

// Cell is one text of a table and the colour it has on a terminal.
type Cell struct {
	Text  string
	Style Style
}

// Text makes a cell without a colour; an empty one shows a dash, so that columns stay countable.
func Text(s string) Cell {
	if s == "" {
		s = "-"
	}
	return Cell{Text: s}
}

// gap stands between columns.
const gap = "   "

// Write writes the table with every column as wide as its longest text.
func (g *Grid) Write(w io.Writer, colour bool) error {
	rows := g.Rows
	if len(g.Header) > 0 {
		head := make([]Cell, len(g.Header))
		for i, h := range g.Header {
			head[i] = Cell{Text: h}
		}
		rows = append([][]Cell{head}, rows...)
	}
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.Text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := g.Indent
		for i, c := range row {
			if i > 0 {
				line += gap
			}
			line += c.Style.paint(c.Text, colour) + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.Text))
		}
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Style is the colour of a text on a terminal.
type Style string

// Styles, as SGR codes (ECMA-48 8.3.117).
const (
	Plain Style = ""
	Good  Style = "32"
	Odd   Style = "33"
	Bad   Style = "31"
	Faint Style = "2"
	Bold  Style = "1"
)

func (s Style) paint(text string, colour bool) string {
	if !colour || s == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// Paint colours a text.
func Paint(s Style, text string, colour bool) string { return s.paint(text, colour) }

// Terminal tells whether w is a terminal, where people read and a line can be written again.
func Terminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// Colour tells whether to colour what is written to w: on a terminal, unless NO_COLOR (no-color.org) is set.
func Colour(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Terminal(w)
}

// Count writes a number with its noun: 1 problem, 2 problems.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
