package show

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
	rows  [][]Cell
}

type Cell struct {
	Text  string
	Paint func(string) string
}

// NewTable starts a table. A heading that begins with ">" is of a column that
// is aligned to the right.
func NewTable(head ...string) *table {
	t := &table{right: map[int]bool{}}
	for i, h := range head {
		name, right := strings.CutPrefix(h, ">")
		t.head = append(t.head, name)
		t.right[i] = right
	}
	return t
}

// Add adds a row of strings or cells.
func (t *table) Add(values ...any) {
	row := make([]Cell, len(values))
	for i, v := range values {
		c, ok := v.(Cell)
		if !ok {
			c = Cell{Text: fmt.Sprint(v)}
		}
		c.Text = Line(c.Text)
		row[i] = c
	}
	t.rows = append(t.rows, row)
}

// Table shows a table on stdout.
func (t *Terminal) Table(rows *table) { rows.Write(t.stdout, t.Out) }

// Write writes the heading, if there is one, and the rows.
func (t *table) Write(w io.Writer, p Palette) {
	rows := t.rows
	if len(t.head) > 0 {
		head := make([]Cell, len(t.head))
		for i, h := range t.head {
			head[i] = Cell{Text: h, Paint: p.Strong}
		}
		rows = append([][]Cell{head}, rows...)
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

func columnWidths(rows [][]Cell) []int {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.Text))
		}
	}
	return widths
}

func (t *table) padded(c Cell, column, width int, last bool) string {
	pad := strings.Repeat(" ", width-utf8.RuneCountInString(c.Text))
	text := c.Text
	if c.Paint != nil {
		text = c.Paint(text)
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
