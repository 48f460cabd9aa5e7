package main

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// TestLate: everything arrives, in order, none of it before its time, and the
// end comes after it.
func TestLate(t *testing.T) {
	t.Parallel()
	nearOut, nearIn := pair(t)
	farOut, farIn := pair(t)
	const by = 30 * time.Millisecond
	go late(farOut, nearIn, by, 0)
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	sent := time.Now()
	go func() {
		_, _ = nearOut.Write(data)
		nearOut.Close()
	}()
	got, err := io.ReadAll(farIn)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(sent); took < by {
		t.Errorf("it took %v, less than the delay", took)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%d bytes arrived, or others than the %d sent", len(got), len(data))
	}
}

// pair is the two ends of a TCP connection.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}
