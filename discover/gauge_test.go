package discover

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"

	"lockstep/target"
)

// gauge is a target that measures how many commands run at once. The first is
// really run; all others get its answer, under their own marker.
type gauge struct {
	target.Target
	now, most, runs atomic.Int64

	once   sync.Once
	answer []byte
}

var markers = regexp.MustCompile(`lockstep-probe-[A-Z0-9]+`)

func (g *gauge) Run(ctx context.Context, command string, s target.Streams) (target.Exit, error) {
	g.runs.Add(1)
	now := g.now.Add(1)
	defer g.now.Add(-1)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
	var exit target.Exit
	var err error
	g.once.Do(func() {
		var out bytes.Buffer
		exit, err = g.Target.Run(ctx, command, target.Streams{Stdin: s.Stdin, Stdout: &out})
		g.answer = out.Bytes()
	})
	if err == nil {
		_, err = s.Stdout.Write(markers.ReplaceAll(g.answer, []byte(markers.FindString(command))))
	}
	return exit, err
}

func TestManyInstancesAtOnceWithinTheLimit(t *testing.T) {
	t.Parallel()
	const instances, limit = 200, 8
	m := newMachine(t).script("a", "backup", "").script("a", "metadata", "echo may_be_empty: true")
	r := deployment(t, m)
	gate := &gauge{Target: r.Instances[0].Target}
	one := r.Instances[0]
	r.Instances = nil
	for i := range instances {
		one.ID, one.Index, one.Target = fmt.Sprint(i), fmt.Sprint(i), gate
		r.Instances = append(r.Instances, one)
	}
	d, notes, err := Discover(t.Context(), r, Options{Version: "1.9.0", Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range d.Instances {
		if in.ID != fmt.Sprint(i) || len(in.Jobs) != 1 || !in.Jobs[0].Metadata.MayBeEmpty {
			t.Fatalf("instance %d is %+v", i, in)
		}
	}
	if got := gate.most.Load(); got > limit {
		t.Errorf("%d probes at once, want at most %d", got, limit)
	}
	if gate.runs.Load() != instances {
		t.Errorf("%d commands for %d instances, want one each", gate.runs.Load(), instances)
	}
	if len(notes) != 2*instances {
		t.Errorf("%d notes", len(notes))
	}
}
