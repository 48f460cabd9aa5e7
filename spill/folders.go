package spill

import (
	"context"
	"encoding/binary"
	"iter"
	"strings"

	"lockstep"
)

// ByDepth gives every entry, those with the most folders above them first. Of one
// depth, what is in a folder stands together, in the order of names, and folders are
// in the order that their own depth has. An error is the last that is given. The list
// may be searched meanwhile.
func (l *List) ByDepth(ctx context.Context) iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		s := NewSorter(ctx, l.pool)
		defer s.Close()
		c, err := l.byDepth(s)
		for err == nil {
			var ok bool
			if ok, err = c.Next(); err != nil || !ok {
				break
			}
			var e lockstep.Entry
			if e, err = l.pool.decode(c.Key, c.Value); err != nil {
				break
			}
			e.Path = strings.ReplaceAll(e.Path[2:], "\x00", "/")
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(lockstep.Entry{}, err)
		}
	}
}

// byDepth sorts by depth and by paths in which slashes come before all that a name
// may have.
func (l *List) byDepth(s *Sorter) (*Cursor, error) {
	var key, value []byte
	for e, err := range l.All() {
		if err != nil {
			return nil, err
		}
		value = encode(value[:0], e)
		key = binary.BigEndian.AppendUint16(key[:0], uint16(lockstep.MaxDepth-strings.Count(e.Path, "/")))
		key = append(key, strings.ReplaceAll(e.Path, "/", "\x00")...)
		if err := s.Add(key, value); err != nil {
			return nil, err
		}
	}
	return s.Sorted()
}
