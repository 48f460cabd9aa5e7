package sqlite

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"lockstep"
	"lockstep/internal/sqlitedb"
	"lockstep/journal"
)

// linkOf is the link of an event with that body after the one whose link is
// before; nil if there is none.
func linkOf(before, body []byte) []byte {
	h := sha256.New()
	sqlitedb.WritePart(h, before)
	sqlitedb.WritePart(h, body)
	return h.Sum(nil)
}

// chain follows the events of one run, one after another.
type chain struct {
	run  lockstep.RunID
	seq  uint64 // of the last one
	link []byte // of the last one; nil if it has none
}

// follow decodes the next event, and refuses one that is not what was appended
// there. Events without a link may come only before those with one.
func (c *chain) follow(seq uint64, body, link []byte) (lockstep.Event, error) {
	e, err := decode(body)
	if err != nil {
		return e, fmt.Errorf("event %d: %w", seq, err)
	}
	if want := c.seq + 1; e.Run != c.run || e.Seq != seq || seq != want {
		return e, fmt.Errorf("%w: event %d of run %s stands where event %d belongs", journal.ErrDamaged, e.Seq, e.Run, want)
	}
	if (link != nil || c.link != nil) && !bytes.Equal(link, linkOf(c.link, body)) {
		return e, fmt.Errorf("%w: event %d of run %s is not what was appended", journal.ErrDamaged, seq, c.run)
	}
	c.seq, c.link = seq, link
	return e, nil
}

// end says whether the run's last event was followed.
func (c *chain) end(seq uint64, link []byte) error {
	switch {
	case c.seq < seq:
		return fmt.Errorf("%w: run %s has %d events, and only %d are there", journal.ErrDamaged, c.run, seq, c.seq)
	case c.seq == seq && link != nil && !bytes.Equal(link, c.link):
		return fmt.Errorf("%w: event %d of run %s is not the last one that was appended", journal.ErrDamaged, seq, c.run)
	}
	return nil
}
