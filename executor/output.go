package executor

import (
	"bytes"
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

// cut stands where lines before the last were left out.
const cut = "…"

// lastWords is the end of stderr, n bytes at most: whole lines, without empty
// ones around them. Where there were lines before, or the only line is too long,
// it begins with a mark.
func (o *output) lastWords(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := bytes.TrimSpace(append(append([]byte{}, o.streams[1].head...), o.streams[1].ordered()...))
	if len(all) <= n {
		return string(all)
	}
	end := all[len(all)-n:]
	if all[len(all)-n-1] != '\n' { // it begins within a line
		i := bytes.IndexByte(end, '\n')
		if i < 0 {
			return cut + string(end)
		}
		end = end[i+1:]
	}
	return cut + "\n" + string(end)
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
