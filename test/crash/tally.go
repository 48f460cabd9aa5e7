package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// tally counts kills, and says where the next one is to be. It may be used
// concurrently.
type tally struct {
	want     int // kills in all
	each     int // at every point
	patience time.Duration
	profiles map[string]profile
	out      io.Writer

	mu     sync.Mutex
	at     map[string]int // kills by point; "" is at random moments
	chains map[int]int    // kills by how many came before in the same cycle
	cycles int
	acks   int
	hangs  int
	wrong  int
}

// done reports whether there were kills enough.
func (t *tally) done() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	total := 0
	for point, n := range t.at {
		total += n
		if point != "" && n < t.each {
			return false
		}
	}
	return total >= t.want
}

// choose takes the point that was killed at least, or a random moment, and an
// operation that comes to it. Kind "dead" wants one that begins beside a dead
// run.
func (t *tally) choose(r *rand.Rand, kind string) (operation, aim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var best []operation
	point, least := "", t.each
	for _, p := range r.Perm(len(t.order())) {
		name := t.order()[p]
		ops := t.hitting(name, kind)
		if len(ops) > 0 && t.at[name] < least {
			best, point, least = ops, name, t.at[name]
		}
	}
	if point == "" {
		o := operations[r.IntN(len(operations))]
		for kind == "dead" && !o.dead {
			o = operations[r.IntN(len(operations))]
		}
		return o, aim{After: moment(r, t.profiles[o.name].took)}
	}
	o := best[r.IntN(len(best))]
	return o, aim{Point: point, N: 1 + r.IntN(t.profiles[o.name].hits[point])}
}

// order are the points, without "".
func (t *tally) order() []string {
	names := make([]string, 0, len(t.at))
	for name := range t.at {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// hitting are the operations that come to the point.
func (t *tally) hitting(point, kind string) (found []operation) {
	for _, o := range operations {
		if t.profiles[o.name].hits[point] > 0 && (kind == "" || o.dead) {
			found = append(found, o)
		}
	}
	return found
}

// aimIn is a point of the operation, the one of those that was killed at least
// or a random moment.
func (t *tally) aimIn(r *rand.Rand, o operation) aim {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.profiles[o.name]
	if r.IntN(2) == 0 {
		return aim{After: moment(r, p.took)}
	}
	var names []string
	for name := range p.hits {
		names = append(names, name)
	}
	slices.Sort(names)
	name := names[r.IntN(len(names))]
	return aim{Point: name, N: 1 + r.IntN(p.hits[name])}
}

// kill counts one, the n-th of its cycle.
func (t *tally) kill(a aim, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at[a.Point]++
	t.chains[n]++
}

func (t *tally) judged(acks int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cycles++
	t.acks += acks
}

func (t *tally) hang(told []string, p *child) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hangs++
	fmt.Fprintf(t.out, "HANG: %s\n%s\n", strings.Join(told, "; "), tail(p.stderr.String(), 8_000))
}

// fail tells of a cycle that went wrong.
func (t *tally) fail(told []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong++
	fmt.Fprintf(t.out, "WRONG: %s\n%v\n\n", strings.Join(told, "; "), err)
}

// report prints the figures.
func (t *tally) report(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	total, least, most := 0, -1, 0
	for name, n := range t.at {
		total += n
		if name == "" {
			continue
		}
		if least < 0 || n < least {
			least = n
		}
		most = max(most, n)
	}
	fmt.Fprintf(t.out, "%d kills in %s: %d at %d fault points (each %d to %d times), %d at random moments\n",
		total, took.Round(time.Second), total-t.at[""], len(t.at)-1, least, most, t.at[""])
	fmt.Fprintf(t.out, "%d were the first of their run, %d the second in a row, %d the third or a later one\n",
		t.chains[1], t.chains[2], total-t.chains[1]-t.chains[2])
	fmt.Fprintf(t.out, "%d cycles judged, %d acknowledged records looked for; %d cycles went wrong, %d processes hung\n",
		t.cycles, t.acks, t.wrong, t.hangs)
}
