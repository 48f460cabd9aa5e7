package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"lockstep"
	"lockstep/target"
	"lockstep/target/inband"
)

// beginTimeout bounds the time until a session's streams are there.
const beginTimeout = 30 * time.Second

// errClosed is the cause of every end that Close brings about.
var errClosed = errors.New("target is closed")

// Container is one container of a pod.
type Container struct {
	Namespace, Pod string
	// Container is its name in the pod; "" where the pod has one only.
	Container string
}

// Successor says which container has taken the place of one whose pod is gone; ok is
// false where none has yet.
type Successor func(ctx context.Context, gone Container) (next Container, ok bool, err error)

// Target is one slot for containers. Make it with Cluster.Container.
type Target struct {
	cluster *Cluster
	next    Successor
	beside  *beside // in which commands run; nil where it is the container itself

	mu sync.Mutex
	at Container

	heard atomic.Bool // a command was: whoever asks has the rights that it takes

	ctx    context.Context // done when the target is closed
	cancel context.CancelCauseFunc
}

var _ target.Target = (*Target)(nil)

// Container is a container in which commands run, as the user of its image or its
// pod's securityContext. Nothing is asked of the API. next is asked when its pod is
// gone, and nil where a pod that takes its place has its name.
func (c *Cluster) Container(at Container, next Successor) *Target {
	t := &Target{cluster: c, at: at, next: next}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	return t
}

// RoundTrip is not known; see target.Target.
func (t *Target) RoundTrip() time.Duration { return 0 }

// Close ends every Run; see target.Target.
func (t *Target) Close() error {
	t.cancel(errClosed)
	return nil
}

// Run runs one command line; see target.Target.
func (t *Target) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(t.ctx, func() { stop(errClosed) })()
	at := t.where()
	if err := errors.Join(context.Cause(t.ctx), context.Cause(ctx)); err != nil {
		return target.Exit{}, t.failed(at, target.ErrNotStarted, err)
	}
	exit, err := t.run(ctx, stop, at, command, streams)
	if err == nil || t.next == nil || !errors.Is(err, target.ErrNotStarted) || !podGone(err) && !stopped(err.Error()) {
		return exit, err
	}
	next, ok, unknown := t.next(ctx, at)
	if unknown != nil { // another one may be there, and answer
		return target.Exit{}, t.failed(at, target.ErrNotStarted, fmt.Errorf("it is gone, and which pod has taken its place is not known: %w", unknown))
	}
	if !ok {
		return target.Exit{}, err
	}
	t.mu.Lock()
	t.at = next
	t.mu.Unlock()
	return t.run(ctx, stop, next, command, streams)
}

func (t *Target) where() Container {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}

// run runs a command in one container, or in the sidecar beside it. A sidecar that has
// ended is made anew, once, where the command has certainly not begun.
func (t *Target) run(ctx context.Context, stop context.CancelCauseFunc, at Container, command string, streams target.Streams) (target.Exit, error) {
	if t.beside == nil {
		return t.runIn(ctx, stop, at, command, streams)
	}
	in, err := t.beside.inside(ctx, at, "")
	if err != nil {
		return target.Exit{}, t.failed(at, target.ErrNotStarted, err)
	}
	exit, err := t.runIn(ctx, stop, in, command, streams)
	if !errors.Is(err, target.ErrNotStarted) || ctx.Err() != nil || !stopped(err.Error()) && !strings.Contains(err.Error(), "is not valid for pod") {
		return exit, err
	}
	if in, err = t.beside.inside(ctx, at, in.Container); err != nil {
		return target.Exit{}, t.failed(at, target.ErrNotStarted, err)
	}
	return t.runIn(ctx, stop, in, command, streams)
}

// runIn runs a command in a container that has a shell.
func (t *Target) runIn(ctx context.Context, stop context.CancelCauseFunc, at Container, command string, streams target.Streams) (target.Exit, error) {
	if t.beside != nil {
		watching, over := context.WithCancel(ctx)
		defer over()
		go t.beside.watch(watching, at, stop)
	}
	call := inband.New(command, streams)
	defer call.Close()
	way := &way{}
	session, err := t.session(at, call.Argv(), way)
	if err != nil {
		return target.Exit{}, t.failed(at, target.ErrNotStarted, err)
	}
	ended := make(chan struct{})
	in := &input{from: streams.Stdin, ctx: ctx, fail: stop, began: make(chan struct{}), ended: ended}
	go in.deadline()
	go func() {
		defer close(ended)
		err = session.StreamWithContext(ctx, remotecommand.StreamOptions{
			Stdin: in, Stdout: output{call.Stdout(), stop, t, way}, Stderr: output{call.Stderr(), stop, t, way},
		})
	}()
	// The library waits for inputs that never end and for processes that were left
	// behind; what counts is the status in band, so that nobody waits for the rest.
	select {
	case <-call.Done():
	case <-ended:
	case <-ctx.Done():
	}
	if exit, ok := call.Exit(); ok {
		return exit, nil
	}
	select {
	case <-call.Done():
		return target.Exit{}, t.failed(at, target.ErrLost, errors.New("its two streams tell of two exit statuses"))
	default:
	}
	if cause := context.Cause(ctx); cause != nil {
		return target.Exit{}, t.failed(at, sentinel(way.began()), cause)
	}
	<-ended
	err = way.told(err)
	if err == nil || strings.HasPrefix(err.Error(), "command terminated with") {
		err = fmt.Errorf("the session ended without an exit status in it, whatever the API says of it (%v)", err)
	}
	return target.Exit{}, t.failed(at, sentinel(way.began()), way.explained(err))
}

// sentinel is what a Run fails with, by whether the command may have begun.
func sentinel(began bool) error {
	if began {
		return target.ErrLost
	}
	return target.ErrNotStarted
}

// session prepares the exec of a command. Nothing is dialed.
func (t *Target) session(at Container, argv []string, way *way) (remotecommand.Executor, error) {
	c := t.cluster
	request := c.core.Post().Resource("pods").Namespace(at.Namespace).Name(at.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: at.Container, Command: argv, Stdin: true, Stdout: true, Stderr: true}, parameters)
	config := rest.CopyConfig(c.rest)
	config.Wrap(way.through)
	socket, err := remotecommand.NewWebSocketExecutor(config, "GET", request.URL().String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", request.URL())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool { return way.older(err) })
}

// output passes on what comes, and ends the session where nobody takes it.
type output struct {
	to   io.Writer
	fail context.CancelCauseFunc
	of   *Target
	way  *way
}

func (o output) Write(p []byte) (int, error) {
	o.way.spoke.Store(true)
	o.of.heard.Store(true)
	n, err := o.to.Write(p)
	if err != nil {
		o.fail(err)
	}
	return n, err
}

// podGone reports whether the API says that a pod is not there. Of one that has ended for
// good, as one that was evicted, it says only that its container is not found.
func podGone(err error) bool { return apierrors.IsNotFound(err) }

// failed is the error of a Run, with what to do about it where that is known.
func (t *Target) failed(at Container, sentinel, err error) error {
	away := sentinel == target.ErrNotStarted && (down(err) || t.heard.Load() && unready(err))
	if away {
		err = target.Unreached(forNow(err))
	}
	e := &lockstep.Error{Op: "run a command in pod " + at.Namespace + "/" + at.Pod, Err: fmt.Errorf("%w: %w", sentinel, err)}
	if t.beside != nil {
		if e.Hint, e.Kind = t.beside.unmade(at, err); e.Hint != "" {
			return e
		}
	}
	kubectl := fmt.Sprintf("kubectl%s --namespace %s", t.cluster.flags(), at.Namespace)
	switch text := err.Error(); {
	case apierrors.IsNotFound(err):
		e.Kind = lockstep.KindNotFound
		e.Hint = fmt.Sprintf("there is no such pod: look at `%s get pods`", kubectl)
	case strings.Contains(text, "a container name must be specified"):
		e.Kind = lockstep.KindInvalid
		e.Hint = "the pod has several containers: write kubernetes: {container: NAME}"
	case strings.Contains(text, "is not valid for pod"):
		e.Kind = lockstep.KindInvalid
		e.Hint = fmt.Sprintf("it has no container %s: look at `%s get pod %s -o jsonpath={.spec.containers[*].name}`", at.Container, kubectl, at.Pod)
	case stopped(text):
		e.Kind = lockstep.KindConflict
		e.Hint = fmt.Sprintf("it does not run: look at `%s describe pod %s`", kubectl, at.Pod)
	case strings.Contains(text, "/bin/sh") && strings.Contains(text, "no such file"):
		e.Hint = "its image has no shell, which runs the scripts: name an image that has one in sidecar_image (kubernetes: {sidecar_image: debian:12}), or leave the pod out of the deployment"
	case nodeSilent(text):
		e.Hint = fmt.Sprintf("the kubelet of its node does not answer: look at `kubectl%s get nodes`", t.cluster.flags())
	case errors.Is(err, context.Canceled) || errors.Is(err, errClosed):
	default:
		explained := t.cluster.Explain("", err)
		e.Hint = lockstep.HintOf(explained)
		if !away { // what is refused is so for good
			e.Kind = lockstep.KindOf(explained)
		}
	}
	return e
}
