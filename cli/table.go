package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is rows of cells, aligned when written. Cells are cleaned; colour is
// put around a cell after it was padded.
type table struct {
	head []string
	// right are the columns that are aligned to the right: numbers.
	right map[int]bool
	rows  [][]cell
}

type cell struct {
	text  string
	paint func(string) string
}

// newTable starts a table. A heading that begins with ">" is of a column that
// is aligned to the right.
func newTable(head ...string) *table {
	t := &table{right: map[int]bool{}}
	for i, h := range head {
		name, right := strings.CutPrefix(h, ">")
		t.head = append(t.head, name)
		t.right[i] = right
	}
	return t
}

// add adds a row of strings or cells.
func (t *table) add(values ...any) {
	row := make([]cell, len(values))
	for i, v := range values {
		c, ok := v.(cell)
		if !ok {
			c = cell{text: fmt.Sprint(v)}
		}
		c.text = line(c.text)
		row[i] = c
	}
	t.rows = append(t.rows, row)
}

// write writes the heading, if there is one, and the rows.
func (t *table) write(w io.Writer, p palette) {
	rows := t.rows
	if len(t.head) > 0 {
		head := make([]cell, len(t.head))
		for i, h := range t.head {
			head[i] = cell{text: h, paint: p.strong}
		}
		rows = append([][]cell{head}, rows...)
	}
	widths := columnWidths(rows)
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(t.padded(c, i, widths[i], i == len(row)-1))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

func columnWidths(rows [][]cell) []int {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	return widths
}

func (t *table) padded(c cell, column, width int, last bool) string {
	pad := strings.Repeat(" ", width-utf8.RuneCountInString(c.text))
	text := c.text
	if c.paint != nil {
		text = c.paint(text)
	}
	switch {
	case t.right[column] && last:
		return pad + text
	case t.right[column]:
		return pad + text + "  "
	case last:
		return text
	}
	return text + pad + "  "
}
