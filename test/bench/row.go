package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"text/tabwriter"
)

// row is one promise and what was measured.
type row struct {
	Case string `json:"case"`
	// Unit of Ours and Reference: s, ms, MiB, MiB/s, %.
	Unit string `json:"unit"`
	// Ours and Reference are the turns in order.
	Ours      []float64 `json:"ours"`
	Reference []float64 `json:"reference,omitempty"`
	// OurCPU and ReferenceCPU are the CPU seconds of the turns, of the
	// instances too: they change less with the machine's load.
	OurCPU       []float64 `json:"our_cpu_seconds,omitempty"`
	ReferenceCPU []float64 `json:"reference_cpu_seconds,omitempty"`
	// Limit bounds the value: its meaning is Kind's. 0 is none.
	Limit float64 `json:"limit,omitempty"`
	Kind  kind    `json:"kind"`
	Note  string  `json:"note,omitempty"`
}

// kind says what value is judged.
type kind string

const (
	ratioAtMost  kind = "x at most"       // ours / reference
	rateAtLeast  kind = "x at least"      // ours / reference, the more the better
	addedAtMost  kind = "added at most"   // ours - reference
	valueAtMost  kind = "at most"         // ours
	valueOnly    kind = "for information" // ours
	ratioForInfo kind = "x"               // ours / reference
)

// value is what is compared with the limit.
func (r row) value() float64 {
	ours, ref := median(r.Ours), median(r.Reference)
	switch r.Kind {
	case ratioAtMost, rateAtLeast, ratioForInfo:
		return ours / ref
	case addedAtMost:
		return ours - ref
	default:
		return ours
	}
}

func (r row) verdict() string {
	v := r.value()
	switch {
	case r.Limit == 0 || math.IsNaN(v):
		return ""
	case r.Kind == rateAtLeast && v >= r.Limit, r.Kind != rateAtLeast && v <= r.Limit:
		return "met"
	}
	return "MISSED"
}

func (r row) target() string {
	switch {
	case r.Limit == 0:
		return ""
	case r.Kind == rateAtLeast:
		return fmt.Sprintf(">= %g x", r.Limit)
	case r.Kind == ratioAtMost:
		return fmt.Sprintf("<= %g x", r.Limit)
	case r.Kind == addedAtMost:
		return fmt.Sprintf("<= +%g %s", r.Limit, r.Unit)
	}
	return fmt.Sprintf("<= %g %s", r.Limit, r.Unit)
}

func (r row) judged() string {
	v := r.value()
	switch {
	case math.IsNaN(v) || r.Kind == valueAtMost || r.Kind == valueOnly:
		return ""
	case r.Kind == addedAtMost:
		return fmt.Sprintf("%+.1f %s", v, r.Unit)
	}
	return fmt.Sprintf("%.2f x", v)
}

func (r row) cpu() string {
	if len(r.OurCPU) == 0 || r.Unit == "ms" {
		return ""
	}
	ours, ref := median(r.OurCPU), median(r.ReferenceCPU)
	return fmt.Sprintf("%.2f / %.2f s", ours, ref)
}

func (b *bench) printTable(w io.Writer) {
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "case\tn\tours\treference\tratio\ttarget\t\tCPU ours / ref.\t")
	for _, r := range b.rows {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			r.Case, len(r.Ours), amount(r.Ours, r.Unit), amount(r.Reference, r.Unit), r.judged(), r.target(), r.verdict(), r.cpu(), r.Note)
	}
	t.Flush()
	fmt.Fprintf(w, "n turns each, medians, least and most in brackets; machine: %d cores, load %s at the end\n", runtime.NumCPU(), load())
}

func (b *bench) printJSON(w io.Writer) error {
	type judged struct {
		row
		Value   *float64 `json:"value"`
		Verdict string   `json:"verdict,omitempty"`
	}
	out := make([]judged, 0, len(b.rows))
	for _, r := range b.rows {
		j := judged{row: r, Verdict: r.verdict()}
		if v := r.value(); !math.IsNaN(v) && !math.IsInf(v, 0) {
			j.Value = &v
		}
		out = append(out, j)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// amount is the median of the turns, with their spread where there are some.
func amount(turns []float64, unit string) string {
	if len(turns) == 0 {
		return ""
	}
	digits := 1
	if unit == "s" {
		digits = 2
	}
	text := fmt.Sprintf("%.*f %s", digits, median(turns), unit)
	if len(turns) > 1 {
		text += fmt.Sprintf(" (%.*f-%.*f)", digits, slices.Min(turns), digits, slices.Max(turns))
	}
	return text
}

func median(turns []float64) float64 {
	if len(turns) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(turns))
	mid := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[mid-1] + sorted[mid]) / 2
	}
	return sorted[mid]
}
