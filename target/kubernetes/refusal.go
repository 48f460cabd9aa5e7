package kubernetes

import (
	"errors"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// An API server of 1.30 or later begins a WebSocket before it turns to the kubelet, and
// tells behind its 101 that it could not connect there, or that the kubelet has not let
// it in. Both come before the streams of a session are made, without which no command
// begins. The texts begin so where they are the API server's own; a kubelet and a
// container runtime begin theirs otherwise.
var (
	notConnected = regexp.MustCompile(`^(?:Internal error occurred: )?error sending request: [A-Z][a-z]+ "[^" ]*": (dial tcp .*)`)
	notLetIn     = regexp.MustCompile(`^(?:Internal error occurred: )?unable to upgrade connection: (.*)`)
	// address is that of a kubelet's exec, which holds all of the command.
	address = regexp.MustCompile(`"(https?://[^" ?]*)\?[^" ]*"`)
)

// told takes the word of an API server on how a session ended: it may say that the
// command has not begun. It is not believed where something of the command's was heard.
func (w *way) told(err error) error {
	if err == nil || w.spoke.Load() {
		return err
	}
	text := err.Error()
	if m := notConnected.FindStringSubmatch(text); m != nil {
		w.mayHave.Store(false)
		return errors.New("error dialing backend: " + m[1])
	}
	if m := notLetIn.FindStringSubmatch(text); m != nil {
		w.mayHave.Store(false)
		return errors.New(m[1])
	}
	if short := address.ReplaceAllString(text, `"$1"`); short != text {
		return errors.New(short)
	}
	return err
}

// nodeSilent reports whether a text says that the kubelet of a node, or its container
// runtime, takes no connection, or has only begun to.
func nodeSilent(text string) bool {
	for _, says := range []string{"error dialing backend", "rpc error: code = Unavailable", "server is not initialized yet"} {
		if strings.Contains(text, says) {
			return true
		}
	}
	return false
}

// stopped reports whether a text says that a container does not run.
func stopped(text string) bool {
	for _, says := range []string{"does not have a host assigned", "container not found", "container is not created or running", "pod does not exist"} {
		if strings.Contains(text, says) {
			return true
		}
	}
	return false
}

// down reports whether nobody answers in a container: there is no such pod, it does not
// run, or nobody takes a connection on the way there. An API that forbids something
// says nothing of that.
func down(err error) bool {
	text := err.Error()
	return podGone(err) || stopped(text) || nodeSilent(text) || notDialed(err)
}

// unready reports whether an API server refuses whoever asks, or says that it can serve
// nobody now. One that has only started does so for a moment, because it does not know
// its roles and its service accounts yet: of somebody whose commands it has run, that is
// as if it were not there.
func unready(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err)
}

// forNow is err without the kind of what is refused for good.
func forNow(err error) error {
	var status *apierrors.StatusError
	if unready(err) && errors.As(err, &status) {
		return status
	}
	return err
}
