package main

import (
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		row  row
		want string
	}{
		{row{Ours: []float64{3, 1, 100}, Reference: []float64{2, 2, 2}, Kind: ratioAtMost, Limit: 1.5}, "met"},
		{row{Ours: []float64{3.1}, Reference: []float64{2}, Kind: ratioAtMost, Limit: 1.5}, "MISSED"},
		{row{Ours: []float64{90}, Reference: []float64{30}, Kind: rateAtLeast, Limit: 3}, "met"},
		{row{Ours: []float64{89}, Reference: []float64{30}, Kind: rateAtLeast, Limit: 3}, "MISSED"},
		{row{Ours: []float64{18}, Reference: []float64{7}, Kind: addedAtMost, Limit: 10}, "MISSED"},
		{row{Ours: []float64{17}, Reference: []float64{7}, Kind: addedAtMost, Limit: 10}, "met"},
		{row{Ours: []float64{101}, Kind: valueAtMost, Limit: 100}, "MISSED"},
		{row{Ours: []float64{101}, Kind: valueOnly}, ""},
		{row{Kind: ratioAtMost, Limit: 2}, ""}, // nothing was measured
	} {
		if got := c.row.verdict(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.row, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	if got := median([]float64{9, 1, 2, 8}); got != 5 {
		t.Errorf("of four: %v", got)
	}
	if got := median([]float64{9, 1, 2}); got != 2 {
		t.Errorf("of three: %v", got)
	}
}

func TestTableNamesWhatIsMissed(t *testing.T) {
	t.Parallel()
	b := &bench{rows: []row{{Case: "slow one", Unit: "s", Ours: []float64{4, 4, 4}, Reference: []float64{1}, Kind: ratioAtMost, Limit: 2}}}
	var out strings.Builder
	b.printTable(&out)
	for _, want := range []string{"slow one", "4.00 s (4.00-4.00)", "4.00 x", "<= 2 x", "MISSED"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
