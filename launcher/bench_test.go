package launcher

import (
	"fmt"
	"testing"

	"lockstep/target"
)

// BenchmarkScript compares start and wait of an empty script through a warm
// control session with running it plainly.
func BenchmarkScript(b *testing.B) {
	i := newInstance(b, "sh")
	i.claim("r1")
	path := i.script("s", "#!/bin/sh\n")
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			if _, err := i.target.Run(b.Context(), target.Quote(path), target.Streams{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	n := 0
	b.Run("launcher", func(b *testing.B) {
		for b.Loop() {
			n++
			s := step("r1", fmt.Sprint("s", n), path)
			if _, err := i.Start(b.Context(), s); err != nil {
				b.Fatal(err)
			}
			if _, err := i.Wait(b.Context(), s.StepRef, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
