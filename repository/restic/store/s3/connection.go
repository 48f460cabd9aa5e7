package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
)

// defaultQuiet is how long a connection may carry nothing while an answer is awaited.
const defaultQuiet = time.Minute

// A request may take floorTime, and more for each byte: what is slower than slowest
// bytes a second is of no use, for a backup of a GiB would take three days.
const (
	floorTime = 5 * time.Minute
	slowest   = 4 << 10
)

var (
	errQuiet   = errors.New("nothing has come or gone for too long")
	errTooSlow = fmt.Errorf("it is slower than %d KiB/s", slowest>>10)
)

// transport is the library's, whose connections break when they carry nothing for
// quiet. Without that, a service that stops in the middle of an answer is waited for
// without end.
func transport(secure bool, quiet time.Duration) (http.RoundTripper, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	t.ResponseHeaderTimeout = quiet
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watched{Conn: c, quiet: quiet, began: time.Now()}, nil
	}
	return t, nil
}

// watched is a connection that breaks when nothing has come or gone for quiet.
type watched struct {
	net.Conn
	quiet time.Duration
	began time.Time
	moved atomic.Int64 // since began, when a byte last came or went
}

// Read is waited for while an upload is under way: what goes counts as well.
func (w *watched) Read(p []byte) (int, error) {
	since := time.Since(w.began)
	for {
		left := w.quiet - (time.Since(w.began) - max(since, time.Duration(w.moved.Load())))
		if left <= 0 {
			return 0, errQuiet
		}
		if err := w.SetReadDeadline(time.Now().Add(left)); err != nil {
			return 0, err
		}
		n, err := w.Conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			w.note(n)
			return n, err
		}
	}
}

func (w *watched) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.quiet)); err != nil {
		return 0, err
	}
	n, err := w.Conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errQuiet
	}
	w.note(n)
	return n, err
}

func (w *watched) note(n int) {
	if n > 0 {
		w.moved.Store(int64(time.Since(w.began)))
	}
}

// bounded is a context for a request that carries size bytes.
func bounded(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, floorTime+time.Duration(size/slowest)*time.Second, errTooSlow)
}
