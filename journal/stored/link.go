package stored

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"lockstep"
	"lockstep/internal/rowsum"
	"lockstep/journal"
)

// LinkOf is the link of an event with that body after the one whose link is
// before; nil if there is none.
func LinkOf(before, body []byte) []byte {
	h := sha256.New()
	rowsum.WritePart(h, before)
	rowsum.WritePart(h, body)
	return h.Sum(nil)
}

// Chain follows the events of one run, one after another.
type Chain struct {
	Run  lockstep.RunID
	Seq  uint64 // of the last one
	Link []byte // of the last one; nil if it has none
}

// Follow decodes the next event, and refuses one that is not what was appended
// there. Events without a link may come only before those with one.
func (c *Chain) Follow(seq uint64, body, link []byte) (lockstep.Event, error) {
	e, err := Decode(body)
	if err != nil {
		return e, fmt.Errorf("event %d: %w", seq, err)
	}
	if want := c.Seq + 1; e.Run != c.Run || e.Seq != seq || seq != want {
		return e, fmt.Errorf("%w: event %d of run %s stands where event %d belongs", journal.ErrDamaged, e.Seq, e.Run, want)
	}
	if (link != nil || c.Link != nil) && !bytes.Equal(link, LinkOf(c.Link, body)) {
		return e, fmt.Errorf("%w: event %d of run %s is not what was appended", journal.ErrDamaged, seq, c.Run)
	}
	c.Seq, c.Link = seq, link
	return e, nil
}

// End says whether the run's last event was followed.
func (c *Chain) End(seq uint64, link []byte) error {
	switch {
	case c.Seq < seq:
		return fmt.Errorf("%w: run %s has %d events, and only %d are there", journal.ErrDamaged, c.Run, seq, c.Seq)
	case c.Seq == seq && link != nil && !bytes.Equal(link, c.Link):
		return fmt.Errorf("%w: event %d of run %s is not the last one that was appended", journal.ErrDamaged, seq, c.Run)
	}
	return nil
}
