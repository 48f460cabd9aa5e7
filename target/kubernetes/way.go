package kubernetes

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/streaming/pkg/httpstream"
)

// way watches how far the requests of one Run came: whether the API may have begun
// the command. It sees them behind whatever logs in.
type way struct {
	mayHave atomic.Bool
	spoke   atomic.Bool                           // output came
	answer  atomic.Pointer[apierrors.StatusError] // the last refusal, where it is one of the API
}

// began reports whether the command may have begun.
func (w *way) began() bool { return w.mayHave.Load() }

// through is a transport that is watched.
func (w *way) through(rt http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		w.mayHave.Store(true) // until the contrary is known
		answer, err := rt.RoundTrip(r)
		switch {
		case err == nil && answer.StatusCode != http.StatusSwitchingProtocols:
			w.answer.Store(statusIn(answer))
			w.mayHave.Store(false)
		case refused(err):
			w.answer.Store(statusOf(err))
			w.mayHave.Store(false)
		case neverSent(err):
			w.mayHave.Store(false)
		}
		return answer, err
	})
}

// explained is the API's own refusal where there was one, which the library makes a
// text of.
func (w *way) explained(err error) error {
	if status := w.answer.Load(); status != nil && !w.began() {
		return status
	}
	return err
}

// maxStatus bounds what is read of a refusal.
const maxStatus = 64 << 10

// statusIn is the refusal that an answer holds, which can be read again; or nil.
func statusIn(answer *http.Response) *apierrors.StatusError {
	data, _ := io.ReadAll(io.LimitReader(answer.Body, maxStatus)) // what cannot be read is not told
	answer.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(data), answer.Body}
	var status metav1.Status
	if json.Unmarshal(data, &status) != nil || status.Kind != "Status" {
		return nil
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// statusOf is the refusal in an error of a WebSocket, or nil.
func statusOf(err error) *apierrors.StatusError {
	var failure *httpstream.UpgradeFailureError
	var status *apierrors.StatusError
	if errors.As(err, &failure) && errors.As(failure.Cause, &status) {
		return status
	}
	return nil
}

// refused reports whether the server answered that it does not begin a session.
func refused(err error) bool {
	return httpstream.IsUpgradeFailure(err) && !otherProtocol(err)
}

// otherProtocol reports whether the server began a session, in a protocol that it was
// not asked for.
func otherProtocol(err error) bool { return strings.Contains(err.Error(), "invalid protocol") }

// neverSent reports whether no connection to the server came to be.
func neverSent(err error) bool {
	var certificate *tls.CertificateVerificationError
	return notDialed(err) || errors.As(err, &certificate) || err != nil && httpstream.IsHTTPSProxyError(err)
}

// notDialed reports whether the server took no connection.
func notDialed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// older reports whether to try again as older servers want it. Not where the command
// may have begun already.
func (w *way) older(err error) bool {
	return (refused(err) || httpstream.IsHTTPSProxyError(err)) && !w.began()
}
