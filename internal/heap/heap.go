// Package heap makes the garbage collector run as often as memory is dear.
//
// With one percentage for all heaps, a program whose live heap is a few MiB
// collects after every few MiB of garbage, and a transfer makes two MiB of it
// for each MiB that it moves: hundreds of collections a second, each with its
// stop of the world. A percentage that suits such a heap lets one of 100 MiB
// grow far too large. So the percentage follows the live heap.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A thousand instances fit into 256 MiB, and most runs into 100: this much
// garbage beside a small heap, this share of a large one, and a limit from
// which on the collector works harder.
const (
	room  = 12 << 20
	least = 25
	limit = 176 << 20
)

// maxPercent bounds the percentage. The smallest heap grows with it: 4 MiB at
// 100.
const maxPercent = 300

// Bound sets how much memory the process takes. It is called once, by a main
// function. Who sets GOGC or GOMEMLIMIT knows better: then it does nothing.
func Bound() {
	if os.Getenv("GOGC")+os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(limit)
	p := new(pace)
	p.set(maxPercent)
	p.await()
}

// Raise raises the limit of a process that Bound has set one for, by so many bytes
// more than what it leaves room for.
func Raise(more int64) {
	if more > 0 && debug.SetMemoryLimit(-1) == limit {
		debug.SetMemoryLimit(limit + more)
	}
}

// pace is the percentage in force; one goroutine at a time has it.
type pace struct{ current int }

// await has the pace set anew after the next collection, and after each that
// follows. The collector itself says when: it finds an object that nobody has.
func (p *pace) await() {
	runtime.SetFinalizer(&token{p}, func(t *token) {
		t.pace.set(percent(counted()))
		t.pace.await()
	})
}

type token struct{ pace *pace }

// set changes the percentage where that makes a difference: each change stops
// the world.
func (p *pace) set(percent int) {
	if diff := percent - p.current; diff < -p.current/8 || diff > p.current/8 {
		debug.SetGCPercent(percent)
		p.current = percent
	}
}

// percent is the share of what the collector counts that is room bytes, within
// bounds.
func percent(counted uint64) int {
	return int(min(max(least, room*100/max(counted, 1)), maxPercent))
}

// counted is what the collector's percentage is taken of: what the last
// collection found to be in use, and the stacks and globals that it looked
// through. A thousand connections have more on their stacks than on the heap.
func counted() (bytes uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			bytes += s.Value.Uint64()
		}
	}
	return bytes
}
