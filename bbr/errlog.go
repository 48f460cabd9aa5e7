package bbr

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// traceOf is the rendering of faults for whoever looks for their cause: with
// hints, where in the program they were told, and who told them.
func traceOf(summary string, faults []fault, version string) string {
	var b strings.Builder
	b.WriteString(strings.TrimRight(summary, "\n") + "\n")
	for i, f := range faults {
		fmt.Fprintf(&b, "\nerror %d: %s\n", i+1, f.text)
		for hint := range strings.SplitSeq(f.hint, "\n") {
			if hint != "" {
				fmt.Fprintf(&b, "hint: %s\n", hint)
			}
		}
	}
	b.WriteString("\ntold by:\n")
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "lockstep/") || f.Function == "main.main" {
			fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		}
		if !more {
			break
		}
	}
	fmt.Fprintf(&b, "bbr %s\n\tlockstep/cmd/bbr/main.go\n", version)
	return b.String()
}

// writeTrace keeps a trace in a file of its own in the working directory.
func (p Program) writeTrace(trace string) error {
	name := filepath.Join(p.Dir, "bbr-"+p.Now().UTC().Format(time.RFC3339)+".err.log")
	if err := os.WriteFile(name, []byte(trace), 0o644); err != nil {
		return fmt.Errorf("write error log: %w", err)
	}
	return nil
}

// report tells of faults on stderr and in the error log, and returns the exit
// code.
func (p Program) report(faults []fault, footer string, code int) int {
	return p.reportText(listed(faults), faults, footer, code)
}

func (p Program) reportText(text string, faults []fault, footer string, code int) int {
	trace := traceOf(text, faults, p.Version)
	if err := p.writeTrace(trace); err != nil {
		text = trace
	}
	fmt.Fprintf(p.Stderr, "%s\n%s\n", text, footer)
	return code
}
