package inband

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"lockstep/target"
)

// feed writes b in pieces of the sizes given, again and again.
func feed(s *stream, b []byte, sizes []byte) error {
	for i := 0; len(b) > 0; i++ {
		n := len(b)
		if len(sizes) > 0 {
			n = min(n, int(sizes[i%len(sizes)])+1)
		}
		if _, err := s.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// FuzzStream: whatever a command writes, in whatever pieces it comes, is passed
// on as it is up to the trailer; without the whole trailer there is no exit.
func FuzzStream(f *testing.F) {
	const marker = "ABCABDABCABC"
	f.Add([]byte("output"), []byte{0}, uint8(0))
	f.Add([]byte("ABCABDABCABABCABDABCAB"), []byte{2, 0, 6}, uint8(137))
	f.Add([]byte(""), []byte{}, uint8(255))
	f.Fuzz(func(t *testing.T, data, sizes []byte, code uint8) {
		if bytes.Contains(append(bytes.Clone(data), marker[:len(marker)-1]...), []byte(marker)) {
			t.Skip("the marker cannot be guessed")
		}
		whole := append(bytes.Clone(data), marker...)
		whole = append(whole, '0'+code/100, '0'+code/10%10, '0'+code%10)
		for _, missing := range []int{0, 1, statusSize, statusSize + 4, len(marker) + statusSize} {
			var out bytes.Buffer
			arrived := 0
			s := newStream([]byte(marker), &out, func() { arrived++ })
			if err := feed(s, whole[:len(whole)-missing], sizes); err != nil {
				t.Fatal(err)
			}
			if s.over != (missing == 0) || arrived > 1 || arrived == 1 != s.over {
				t.Fatalf("without the last %d bytes: over %v, told %d times", missing, s.over, arrived)
			}
			if got := append(out.Bytes(), s.held...); missing > 0 && !bytes.Equal(got, whole[:len(whole)-missing]) {
				t.Fatalf("without the last %d bytes: %q came out of %q", missing, got, whole)
			}
			if missing > 0 {
				continue
			}
			if s.code != int(code) || !bytes.Equal(out.Bytes(), data) {
				t.Fatalf("got %d and %q; want %d and %q", s.code, out.Bytes(), code, data)
			}
			if err := feed(s, []byte("of a child"), sizes); err != nil || out.Len() != len(data) {
				t.Fatalf("what comes later was passed on: %q, %v", out.Bytes(), err)
			}
		}
	})
}

// FuzzStatus: no status is made up.
func FuzzStatus(f *testing.F) {
	for _, s := range []string{"000", "255", "256", "+12", " 12", "0x1", "1_0", "-00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		code, err := parse(b)
		if err == nil && (len(b) == statusSize && fmt.Sprintf("%03d", code) != string(b) || code > 255) {
			t.Errorf("%q gave %d", b, code)
		}
	})
}

func TestStreamsThatDisagree(t *testing.T) {
	t.Parallel()
	c := New("true", target.Streams{})
	trailer := func(status string) []byte { return append(bytes.Clone(c.out.marker), status...) }
	if _, err := c.Stdout().Write(trailer("000")); err != nil {
		t.Fatal(err)
	}
	if exit, ok := c.Exit(); ok {
		t.Errorf("one trailer gave %v", exit)
	}
	if _, err := c.Stderr().Write(trailer("001")); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if exit, ok := c.Exit(); ok {
		t.Errorf("two trailers that differ gave %v", exit)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := New("true", target.Streams{Stdout: &out})
	c.Close()
	if _, err := c.Stdout().Write([]byte("late")); !errors.Is(err, errClosed) || out.Len() != 0 {
		t.Errorf("after Close: %v, %q", err, out.String())
	}
}
