package executor

import (
	"sync"

	"lockstep"
	"lockstep/launcher"
)

// How much of each stream of a script is kept.
const (
	keepHead = 256 << 10
	keepTail = 1 << 20
)

// output keeps the beginning and the end of what a script prints.
type output struct {
	mu      sync.Mutex
	streams [2]headTail
}

var streamNames = [2]string{"stdout", "stderr"}

// write is given the next bytes of a stream; see launcher.Client.Wait.
func (o *output) write(stream launcher.Stream, b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := 0
	if stream == launcher.Stderr {
		i = 1
	}
	o.streams[i].write(b)
}

// stderrTail is the end of stderr, n bytes at most.
func (o *output) stderrTail(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := append(append([]byte{}, o.streams[1].head...), o.streams[1].ordered()...)
	return string(all[max(0, len(all)-n):])
}

// kept is what is kept of both streams, those that said nothing left out.
func (o *output) kept(attempt int) []lockstep.StepOutput {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []lockstep.StepOutput
	for i, s := range o.streams {
		if len(s.head) == 0 {
			continue
		}
		out = append(out, lockstep.StepOutput{
			Attempt: attempt, Stream: streamNames[i], Head: s.head, Tail: s.ordered(),
			Dropped: s.total - int64(len(s.head)) - int64(len(s.tail)),
		})
	}
	return out
}

// headTail keeps the first keepHead and the last keepTail bytes.
type headTail struct {
	head, tail []byte
	at         int // where the oldest byte of a full tail lies
	total      int64
}

func (h *headTail) write(b []byte) {
	h.total += int64(len(b))
	n := min(keepHead-len(h.head), len(b))
	h.head, b = append(h.head, b[:n]...), b[n:]
	if len(b) > keepTail {
		b = b[len(b)-keepTail:]
	}
	n = min(keepTail-len(h.tail), len(b))
	h.tail, b = append(h.tail, b[:n]...), b[n:]
	for len(b) > 0 {
		n := copy(h.tail[h.at:], b)
		h.at, b = (h.at+n)%keepTail, b[n:]
	}
}

// ordered is the tail from its oldest byte on.
func (h *headTail) ordered() []byte {
	return append(append([]byte{}, h.tail[h.at:]...), h.tail[:h.at]...)
}
