package helper

import "time"

const (
	// span is how many bytes of an archive are sent one way before the rates are
	// looked at. The first is longer: what fits into the buffers of a connection
	// says nothing of the link.
	span      = 8 << 20
	firstSpan = 2 * span
	// stay is for how many bytes a decision holds: links change.
	stay = 256 << 20
)

// pace decides whether an archive is compressed on its way: where the link is what is
// waited for, and as long as more of the archive passes than without, by what was
// measured. A link that is fast, a reader that is slow whatever comes, and data that
// does not get smaller are left as they are. The zero pace has measured nothing.
type pace struct {
	compress bool
	trial    bool          // whether it pays is being measured
	begun    bool          // the first span is over
	bytes    int64         // of the archive, in this span
	sent     int64         // bytes that became of them
	took     time.Duration // since the span began
	waited   time.Duration // of that, for the link
	left     int64         // bytes of the archive for which the last decision holds
	plain    float64       // bytes a second without compression
}

// passed notes that n bytes of the archive were sent as so many, how long it took since
// the ones before were sent, and how much of that was waiting for the link.
func (p *pace) passed(n, sent int, took, waited time.Duration) {
	p.bytes, p.sent, p.left = p.bytes+int64(n), p.sent+int64(sent), p.left-int64(n)
	p.took, p.waited = p.took+took, p.waited+waited
	if p.bytes < span || !p.begun && p.bytes < firstSpan {
		return
	}
	p.decide()
	p.begun, p.bytes, p.sent, p.took, p.waited = true, 0, 0, 0, 0
}

// decide is called at the end of each span.
func (p *pace) decide() {
	rate := float64(p.bytes) / max(p.took, time.Microsecond).Seconds()
	switch {
	case p.trial:
		p.trial, p.left = false, stay
		p.compress = rate >= 1.1*p.plain
	case p.compress:
		// Measured anew without it from time to time, and at once where it is vain.
		p.compress = p.left > 0 && p.sent < p.bytes*95/100
	default:
		p.plain = rate
		if p.left <= 0 && p.waited > p.took/2 {
			p.trial, p.compress = true, true
		}
	}
}
