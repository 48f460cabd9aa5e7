package ssh

import "testing"

// TestBuffer: what comes in large amounts gets a large buffer, what comes in
// small ones, or once, does not.
func TestBuffer(t *testing.T) {
	t.Parallel()
	b := newBuffer()
	for range busyReads - 1 {
		b.saw(smallBuffer)
	}
	if b.saw(smallBuffer - 1); len(b.bytes) != smallBuffer {
		t.Errorf("it is %d bytes after a read that did not fill it", len(b.bytes))
	}
	for range busyReads {
		b.saw(smallBuffer)
	}
	if len(b.bytes) != largeBuffer {
		t.Errorf("it is %d bytes after %d reads that filled it", len(b.bytes), busyReads)
	}
	if b.saw(largeBuffer); len(b.bytes) != largeBuffer {
		t.Errorf("it is %d bytes in the end", len(b.bytes))
	}
}
