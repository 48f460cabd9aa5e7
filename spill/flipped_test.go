package spill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestAFlippedBitOfARun: whichever bit of the sorted runs flips on the disk, no record
// comes out that was not put in, and the error is that of the temporary file.
//
//fault:spill-run-flipped a bit of a sorted run flips in the folder for temporary files | the transfer fails, and names the folder; nothing is marked damaged for it
func TestAFlippedBitOfARun(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		s := NewSorter(t.Context(), tiny(t))
		var value [200]byte
		for n := range uint32(5000) {
			binary.BigEndian.PutUint32(value[:], n)
			if err := s.Add(fmt.Appendf(nil, "%08d", n*7919%5000), value[:]); err != nil {
				t.Fatal(err)
			}
		}
		if s.file == nil {
			t.Fatal("nothing was spilled")
		}
		at, bit := random.Int64N(s.size), byte(1)<<random.IntN(8)
		var b [1]byte
		if _, err := s.file.ReadAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= bit
		if _, err := s.file.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		if err := drained(s); !errors.Is(err, ErrSpill) {
			t.Errorf("bit %d of byte %d: %v", bit, at, err)
		}
		s.Close()
	}
}

// drained reads all records; one that nobody put in is an error of its own.
func drained(s *Sorter) error {
	c, err := s.Sorted()
	for n := uint32(0); err == nil; n++ {
		var ok bool
		if ok, err = c.Next(); err != nil || !ok {
			break
		}
		put := binary.BigEndian.Uint32(c.Value)
		if len(c.Value) != 200 || put >= 5000 || string(c.Key) != fmt.Sprintf("%08d", put*7919%5000) {
			return fmt.Errorf("record %d is %q %q", n, c.Key, c.Value)
		}
	}
	return err
}
