package bosh

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"lockstep/target"
)

// IsWindows asks an instance whether it runs Windows, where there is nothing
// to back up. An error means that it could not be asked.
func IsWindows(ctx context.Context, t target.Target) (bool, error) {
	var out bytes.Buffer
	_, err := t.Run(ctx, "echo %OS%", target.Streams{Stdout: &limited{to: &out, left: 4096}})
	if err != nil {
		return false, fmt.Errorf("ask for the operating system: %w", err)
	}
	return strings.TrimSpace(out.String()) == "Windows_NT", nil
}

// withoutWindows are the instances that do not run Windows, where there is
// nothing to back up. All are asked at once; one that does not answer stays,
// and whoever works with it says why.
func (r *resolution) withoutWindows(ctx context.Context) {
	var wg sync.WaitGroup
	for _, g := range r.groups {
		windows := make([]bool, len(g.opened))
		for i, in := range g.opened {
			wg.Go(func() {
				is, err := IsWindows(ctx, in.Target)
				windows[i] = is && err == nil
			})
		}
		wg.Wait()
		g.kept = slices.Clone(g.kept[:0])
		for i, in := range g.opened {
			if windows[i] {
				r.director.options.Log("warn", fmt.Sprintf("skipping Windows instance %s", in.Name()))
				continue
			}
			g.kept = append(g.kept, in)
		}
	}
}
