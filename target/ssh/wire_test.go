package ssh

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// chopped is a connection that gives its bytes in pieces of any size, the last
// of them together with the error.
type chopped struct {
	net.Conn
	data []byte
	err  error
	rand *rand.Rand
}

func (c *chopped) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), 1+c.rand.IntN(readAhead+1))], c.data)
	c.data = c.data[n:]
	if len(c.data) == 0 {
		return n, c.err
	}
	return n, nil
}

// TestWireReadsAhead: whatever is asked for and however it comes, the bytes are
// the same and in order; an error comes after all of them; and who waits
// between packets holds no memory to read ahead.
func TestWireReadsAhead(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		sent := make([]byte, random.IntN(3*readAhead))
		for i := range sent {
			sent[i] = byte(random.Uint32())
		}
		w := &wire{Conn: &chopped{data: sent, err: broken, rand: random}, reads: setupReads}
		sizes := []int{1, headRead - 1, headRead, headRead + 1, 32 << 10, readAhead - 1, readAhead, readAhead + 1}
		var got bytes.Buffer
		for {
			p := make([]byte, sizes[random.IntN(len(sizes))])
			n, err := w.Read(p)
			got.Write(p[:n])
			if err != nil {
				if !errors.Is(err, broken) {
					t.Fatalf("seed %d: %v", seed, err)
				}
				break
			}
		}
		if !bytes.Equal(got.Bytes(), sent) {
			t.Errorf("seed %d: %d bytes came, or others than the %d sent", seed, got.Len(), len(sent))
		}
		if w.ahead != nil || !w.broken.Load() {
			t.Errorf("seed %d: it holds memory (%v), or does not know that it is broken", seed, w.ahead != nil)
		}
	}
}

func TestWireHoldsNothingBetweenPackets(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	w := &wire{Conn: near, reads: setupReads}
	go func() {
		_, _ = far.Write(make([]byte, 10<<10))
		_, _ = far.Write(make([]byte, 100))
	}()
	if _, err := io.ReadFull(w, make([]byte, 6<<10)); err != nil {
		t.Fatal(err)
	}
	if len(w.rest) != 4<<10 {
		t.Errorf("%d bytes were read ahead", len(w.rest))
	}
	if _, err := io.ReadFull(w, make([]byte, 4<<10)); err != nil || w.ahead != nil {
		t.Errorf("memory is held after the last byte (%v): %v", w.ahead != nil, err)
	}
	if n, err := w.Read(make([]byte, headRead)); n != 100 || err != nil || w.ahead != nil {
		t.Errorf("a head: %d bytes, %v, memory held: %v", n, err, w.ahead != nil)
	}
}
