package kubernetes

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/streaming/pkg/httpstream"

	"lockstep/target"
)

// endless is an answer without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	answer, err := bounded(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{Body: io.NopCloser(endless{})}, nil
	})).RoundTrip(nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 2*maxAnswer))
	if err == nil || n > maxAnswer || !strings.Contains(err.Error(), "larger than 96 MiB") {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestOtherProtocol: a server that began a session in a protocol that it was not asked
// for may have begun the command, so that it is not begun again.
func TestOtherProtocol(t *testing.T) {
	t.Parallel()
	for says, may := range map[string]bool{"websocket: bad handshake (403 Forbidden)": false, `invalid protocol, expected one of ["v5"], got "v1"`: true} {
		w := &way{}
		err := error(&httpstream.UpgradeFailureError{Cause: errors.New(says)})
		_, _ = w.through(roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })).RoundTrip(nil)
		if w.began() != may || w.older(err) != !may {
			t.Errorf("%s: it may have begun: %t; it is tried again: %t", says, w.began(), w.older(err))
		}
		if errors.Is(sentinel(w.began()), target.ErrLost) != may {
			t.Errorf("%s: %v", says, sentinel(w.began()))
		}
	}
}

// TestBrokenInput: a read that fails returns when the session is gone, so that the
// command is not told of an end.
func TestBrokenInput(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, from := range map[string]io.Reader{
		"it fails":              reader(func() error { return broken }),
		"nobody wants it more":  reader(func() error { return nil }),
		"it ends after the end": reader(func() error { return io.EOF }),
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, fail := context.WithCancelCause(t.Context())
			ended := make(chan struct{})
			in := &input{from: from, ctx: ctx, fail: fail, began: make(chan struct{}), ended: ended}
			if name != "it fails" {
				fail(broken)
			}
			returned := make(chan error, 1)
			go func() {
				_, err := in.Read(make([]byte, 1))
				returned <- err
			}()
			synctest.Wait()
			if len(returned) != 0 {
				t.Errorf("%s: the command is told %v", name, <-returned)
			}
			close(ended)
			if err := <-returned; !errors.Is(err, errOver) || !errors.Is(context.Cause(ctx), broken) {
				t.Errorf("%s: %v, %v", name, err, context.Cause(ctx))
			}
		})
	}
}

type reader func() error

func (f reader) Read([]byte) (int, error) { return 0, f() }

// TestNoSession: a session whose streams do not come to be is given up.
func TestNoSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, fail := context.WithCancelCause(t.Context())
		in := &input{ctx: ctx, fail: fail, began: make(chan struct{}), ended: make(chan struct{})}
		from := time.Now()
		go in.deadline()
		<-ctx.Done()
		if took := time.Since(from); took != beginTimeout || !strings.Contains(context.Cause(ctx).Error(), "no session within 30s") {
			t.Errorf("after %s: %v", took, context.Cause(ctx))
		}
	})
}
