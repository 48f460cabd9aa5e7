package helper

import (
	"testing"
	"time"
)

// link is what an archive passes: bytes a second, each alone.
type link struct {
	read, compress, link, reader float64
	ratio                        float64 // what is left of a byte
}

// passes sends so many bytes in the way that p decides, and gives how long it took and
// how many were compressed. Of reading and reader, the slower one counts.
func (l link) passes(p *pace, bytes int) (took time.Duration, packed int) {
	seconds := func(n, rate float64) time.Duration { return time.Duration(n / rate * float64(time.Second)) }
	for range bytes / MaxFrame {
		n, sent := float64(MaxFrame), float64(MaxFrame)
		own := seconds(n, l.read)
		if p.compress {
			own += seconds(n, l.compress)
			sent *= l.ratio
			packed += MaxFrame
		}
		wait := max(seconds(sent, l.link), seconds(n, l.reader))
		if !p.compress {
			wait = max(0, wait-own) // it was read while the last one was on its way
		} else {
			wait = max(time.Microsecond, wait-own)
		}
		p.passed(int(n), int(sent), own+wait, wait)
		took += own + wait
	}
	return took, packed
}

// It is compressed where that is faster, and only there.
func TestPace(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for name, c := range map[string]struct {
		link
		packed bool
		faster float64 // than without, at least; 1: it costs nothing worth mentioning
	}{
		"text over 100 Mbit/s":            {link{800 * mib, 150 * mib, 12 * mib, gib, 0.3}, true, 2.8},
		"text over 2 Mbit/s":              {link{800 * mib, 150 * mib, mib / 4, gib, 0.3}, true, 2.8},
		"random bytes over 100 Mbit/s":    {link{800 * mib, 400 * mib, 12 * mib, gib, 1}, false, 0.98},
		"hardly smaller over 100 Mbit/s":  {link{800 * mib, 150 * mib, 12 * mib, gib, 0.94}, false, 0.98},
		"text over 10 Gbit/s":             {link{800 * mib, 150 * mib, 1200 * mib, 2 * gib, 0.3}, false, 0.95},
		"a slow disk":                     {link{20 * mib, 150 * mib, 50 * mib, gib, 0.3}, false, 0.98},
		"a reader that is slow by itself": {link{800 * mib, 150 * mib, 1200 * mib, 30 * mib, 0.3}, false, 0.95},
	} {
		var p pace
		took, packed := c.passes(&p, gib)
		slow := min(c.link.link, c.reader, c.read)
		without := time.Duration(gib / slow * float64(time.Second))
		if got := without.Seconds() / took.Seconds(); got < c.faster {
			t.Errorf("%s: %.2f times as fast, not %.2f", name, got, c.faster)
		}
		if share := float64(packed) / gib; c.packed != (share > 0.85) || !c.packed && share > 0.1 {
			t.Errorf("%s: %.2f of it is compressed", name, share)
		}
	}
}

// A link that becomes fast is found out, and one that becomes slow.
func TestPaceFollowsTheLink(t *testing.T) {
	const mib = 1 << 20
	var p pace
	slow, fast := link{800 * mib, 150 * mib, 12 * mib, 1 << 40, 0.3}, link{800 * mib, 150 * mib, 2000 * mib, 1 << 40, 0.3}
	for turn, c := range []struct {
		link
		packed bool
	}{{slow, true}, {fast, false}, {slow, true}, {fast, false}} {
		c.passes(&p, 2*stay)
		if _, packed := c.passes(&p, 2*stay); c.packed != (packed > stay) {
			t.Errorf("turn %d: of %d MiB, %d are compressed", turn, 2*stay>>20, packed>>20)
		}
	}
}
