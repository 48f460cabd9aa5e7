package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"lockstep"
	"lockstep/target"
	"lockstep/target/sidecar"
)

// labelSidecar is the label of a sidecar; its value is the container that it stands
// beside.
const labelSidecar = "lockstep.sidecar"

// sidecarTimeout bounds making or removing one sidecar.
const sidecarTimeout = time.Minute

// Sidecar is a container of ours beside one whose image has no shell. It shares that
// one's processes, network and volumes, so that scripts run there instead; it ends with
// it, and is made anew when it is needed again. Make it with Engine.Sidecar.
type Sidecar struct {
	*Target // of the sidecar itself
	beside  string
	image   string
	idle    time.Duration

	mu       sync.Mutex
	made     *life // of the one that was made last, nil before
	removed  bool
	watching sync.WaitGroup
}

// life is that of one container.
type life struct {
	id    string
	ended chan struct{} // closed when it does not run any more
}

func (l *life) over() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// errEnded is why a Run in a sidecar that ends is lost.
var errEnded = errors.New("the sidecar has ended, as it does when the container beside it stops")

var _ target.Target = (*Sidecar)(nil)

// Sidecar is a sidecar of that name beside a container, from an image that the engine
// has. Commands run in it as user. Nothing is asked of the engine before the first Run.
func (e *Engine) Sidecar(name, beside, image, user string) *Sidecar {
	return &Sidecar{Target: e.Container(name, user), beside: beside, image: image, idle: sidecar.Idle}
}

// Run makes the sidecar where it is not there, and runs one command line in it; see
// target.Target. One that has gone, as it does when the container beside it restarts, is
// made anew, once, where the command has certainly not begun.
func (s *Sidecar) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	l, err := s.living(ctx, nil)
	if err != nil {
		return target.Exit{}, s.unmade(err)
	}
	exit, err := s.runIn(ctx, l, command, streams)
	if !errors.Is(err, target.ErrNotStarted) || !down(err) && !errors.Is(err, errEnded) {
		return exit, err
	}
	if l, err = s.living(ctx, l); err != nil {
		return target.Exit{}, s.unmade(err)
	}
	return s.runIn(ctx, l, command, streams)
}

// runIn runs a command as long as the sidecar lives. An engine does not end the streams
// of a sidecar whose processes have ended with those of the container beside it.
func (s *Sidecar) runIn(ctx context.Context, l *life, command string, streams target.Streams) (target.Exit, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-l.ended:
			stop(errEnded)
		case <-ctx.Done():
		}
	}()
	return s.Target.Run(ctx, command, streams)
}

// living is the sidecar that is there now. It is made where none was yet, or where the
// last one is gone.
func (s *Sidecar) living(ctx context.Context, gone *life) (*life, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed {
		return nil, errClosed
	}
	if s.made != nil && s.made != gone && !s.made.over() {
		return s.made, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, sidecarTimeout, fmt.Errorf("the engine did not make it within %s", sidecarTimeout))
	defer cancel()
	if s.made != nil {
		if err := s.engine.RemoveSidecar(ctx, s.name); err != nil {
			return nil, because(ctx, err)
		}
	}
	id, err := s.create(ctx)
	if err != nil {
		return nil, because(ctx, err)
	}
	l := &life{id: id, ended: make(chan struct{})}
	s.made = l
	s.watching.Go(func() { s.watch(l) })
	return l, nil
}

// create has the engine make one and start it.
func (s *Sidecar) create(ctx context.Context) (id string, err error) {
	beside, err := s.engine.API.ContainerInspect(ctx, s.beside, client.ContainerInspectOptions{})
	if err != nil {
		return "", err
	}
	made, err := s.engine.API.ContainerCreate(ctx, s.options(beside.Container))
	if err != nil {
		return "", err
	}
	if _, err = s.engine.API.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		return "", errors.Join(err, s.engine.RemoveSidecar(context.WithoutCancel(ctx), made.ID))
	}
	return made.ID, nil
}

// watchAgain is how long a watcher waits that the engine does not answer.
const watchAgain = time.Second

// watch waits for the end of a sidecar, or for Close.
func (s *Sidecar) watch(l *life) {
	for {
		wait := s.engine.API.ContainerWait(s.ctx, l.id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case <-wait.Result:
			close(l.ended)
			return
		case err := <-wait.Error:
			if errdefs.IsNotFound(err) {
				close(l.ended)
				return
			}
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(watchAgain):
		}
	}
}

// Runs reports whether the sidecar was made and has not ended.
func (s *Sidecar) Runs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made != nil && !s.made.over()
}

// Close ends every Run; see target.Target. The sidecar stays: see Remove.
func (s *Sidecar) Close() error {
	err := s.Target.Close()
	s.watching.Wait()
	return err
}

// options are what docker run would be told.
func (s *Sidecar) options(beside container.InspectResponse) client.ContainerCreateOptions {
	with := container.NetworkMode("container:" + beside.ID)
	command := sidecar.Command(s.name, s.idle)
	return client.ContainerCreateOptions{
		Name: s.name,
		Config: &container.Config{
			Image: s.image, User: s.user, Entrypoint: command[:1], Cmd: command[1:],
			Labels:      map[string]string{labelSidecar: s.beside},
			Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		},
		HostConfig: &container.HostConfig{
			AutoRemove: true, NetworkMode: with, PidMode: container.PidMode(with), Mounts: mountsOf(beside),
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
			LogConfig:     container.LogConfig{Type: "none"},
		},
	}
}

// mountsOf are a container's volumes and folders, as another one mounts them. Each volume
// is named, also one that was made without a name: else the engine would take it away
// together with the sidecar when the container is being replaced in that moment, and with
// it what the container keeps.
func mountsOf(c container.InspectResponse) []mount.Mount {
	var mounts []mount.Mount
	for _, m := range c.Mounts {
		out := mount.Mount{Type: m.Type, Source: m.Source, Target: m.Destination, ReadOnly: !m.RW}
		switch m.Type {
		case mount.TypeVolume:
			out.Source = m.Name
			out.VolumeOptions = &mount.VolumeOptions{NoCopy: true, Subpath: subpathOf(c, m.Destination)}
		case mount.TypeBind:
			out.BindOptions = &mount.BindOptions{Propagation: m.Propagation}
		default: // what lies in memory is the container's alone
			continue
		}
		mounts = append(mounts, out)
	}
	return mounts
}

// subpathOf is the folder of a volume that is mounted there in place of all of it, or "".
func subpathOf(c container.InspectResponse, destination string) string {
	if c.HostConfig == nil {
		return ""
	}
	for _, m := range c.HostConfig.Mounts {
		if m.Target == destination && m.VolumeOptions != nil {
			return m.VolumeOptions.Subpath
		}
	}
	return ""
}

// Remove removes the sidecar, if there is one, with all that runs in it, and lets none be
// made any more. It may be called twice.
func (s *Sidecar) Remove(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = true
	if s.made == nil {
		return nil
	}
	if err := s.engine.RemoveSidecar(ctx, s.name); err != nil {
		return err
	}
	s.made = nil
	return nil
}

// RemoveSidecar removes a sidecar of that name or id, with all that runs in it. One that
// is not there is not an error; a container that is not a sidecar is, and stays.
func (e *Engine) RemoveSidecar(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, sidecarTimeout)
	defer cancel()
	op := "remove sidecar " + name
	is, err := e.API.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return e.Explain(op, err)
	case is.Container.Config == nil || is.Container.Config.Labels[labelSidecar] == "":
		return &lockstep.Error{Kind: lockstep.KindRefused, Op: op, Err: errors.New("the container of that name is not a sidecar"), Hint: "look at `docker inspect " + name + "`"}
	}
	_, err = e.API.ContainerRemove(ctx, is.Container.ID, client.ContainerRemoveOptions{Force: true})
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	if errdefs.IsConflict(err) { // it is being removed already, by itself
		return e.awaitRemoval(ctx, is.Container.ID)
	}
	return e.Explain(op, err)
}

// awaitRemoval waits until a container that is being removed is gone.
func (e *Engine) awaitRemoval(ctx context.Context, id string) error {
	for {
		_, err := e.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the sidecar is removed: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// unmade is the error of a Run for which no sidecar could be made. The container beside
// it is what is not there, or does not run, not the sidecar.
func (s *Sidecar) unmade(err error) error {
	text := err.Error()
	unreached := err
	if down(err) || missingBeside(text) {
		unreached = target.Unreached(err)
	}
	e := &lockstep.Error{Op: "make a sidecar beside container " + s.beside, Err: fmt.Errorf("%w: %w", target.ErrNotStarted, unreached)}
	switch {
	case strings.Contains(text, "No such image"):
		e.Kind = lockstep.KindNotFound
		e.Hint = fmt.Sprintf("the engine does not have the image: docker -H %s pull %s", s.engine.host, s.image)
	case strings.Contains(text, "/bin/sh") && strings.Contains(text, "no such file"):
		e.Kind = lockstep.KindInvalid
		e.Hint = fmt.Sprintf("the image %s has no shell: name one that has in sidecar_image, as debian:12", s.image)
	case missingBeside(text) || stopped(text):
		e.Kind = lockstep.KindConflict
		e.Hint = fmt.Sprintf("bring it up (docker start %s), or leave it out of the deployment", s.beside)
	case errors.Is(err, context.Canceled) || errors.Is(err, errClosed):
	default:
		e.Hint = lockstep.HintOf(s.engine.Explain("", err))
	}
	return e
}

// missingBeside reports whether an engine says that there is no container to stand
// beside, or that it does not run.
func missingBeside(text string) bool {
	return strings.Contains(text, "No such container") || strings.Contains(text, "cannot join")
}
