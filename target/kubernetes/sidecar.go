package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"lockstep"
	"lockstep/target"
	"lockstep/target/sidecar"
)

const (
	// sidecarTimeout bounds making one sidecar, for which its node may have to pull an image.
	sidecarTimeout = 2 * time.Minute
	// sidecarLook is the time between two looks at one that is being made, and
	// sidecarWatch that between two looks at one in which a command runs.
	sidecarLook  = 250 * time.Millisecond
	sidecarWatch = 5 * time.Second
)

// errEnded is why a Run in a sidecar that ends is lost.
var errEnded = errors.New("the sidecar has ended, as it does when the container beside it stops")

// beside is an ephemeral container of ours in a pod, beside a container whose image has
// no shell. It shares that one's processes and volumes, so that commands run there
// instead. It ends with that container, or with its pod, and is made anew when it is
// needed again, under another number: a pod never forgets one.
type beside struct {
	cluster     *Cluster
	name, image string

	mu   sync.Mutex
	at   Container // beside which the last one was made
	made string    // its name, "" before
}

// Sidecar is a container as of Container, without a shell: commands run in an ephemeral
// container beside it, from an image that has one. It is made at the first Run. Its name,
// or names where it is made anew, begin with that of the sidecar.
func (c *Cluster) Sidecar(at Container, next Successor, name, image string) *Target {
	t := c.Container(at, next)
	t.beside = &beside{cluster: c, name: name, image: image}
	return t
}

// HasSidecar reports whether a sidecar was made for the target.
func (t *Target) HasSidecar() bool {
	if t.beside == nil {
		return false
	}
	t.beside.mu.Lock()
	defer t.beside.mu.Unlock()
	return t.beside.made != ""
}

// inside is the container in which a command for the one at runs. gone, if not "", is a
// sidecar that has ended.
func (b *beside) inside(ctx context.Context, at Container, gone string) (Container, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := at
	if b.made != "" && b.at == at && b.made != gone {
		in.Container = b.made
		return in, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, sidecarTimeout, fmt.Errorf("it did not run within %s", sidecarTimeout))
	defer cancel()
	name, err := b.make(ctx, at)
	if err != nil {
		return at, because(ctx, err)
	}
	b.at, b.made = at, name
	in.Container = name
	return in, nil
}

// make adds one to the pod and waits until it runs.
func (b *beside) make(ctx context.Context, at Container) (name string, err error) {
	pod, err := b.cluster.Pod(ctx, at.Namespace, at.Pod)
	if err != nil {
		return "", err
	}
	if pod == nil {
		return "", noSuchPod(at.Pod)
	}
	container, err := running(pod, at.Container)
	if err != nil {
		return "", err
	}
	name = fmt.Sprintf("%s-%d", b.name, 1+len(sidecarsIn(pod, b.name)))
	if err := b.cluster.addSidecar(ctx, at, ephemeral(name, b.image, container)); err != nil {
		return "", err
	}
	for {
		pod, err := b.cluster.Pod(ctx, at.Namespace, at.Pod)
		if err == nil && pod == nil {
			err = noSuchPod(at.Pod)
		}
		if err != nil {
			return "", err
		}
		if runs, err := begun(pod, name); runs || err != nil {
			return name, err
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(sidecarLook):
		}
	}
}

// noSuchPod is what the API would say of a pod that is not there.
func noSuchPod(name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name)
}

// running is a container of a pod that must run: an ephemeral one beside one that does
// not would wait for it.
func running(pod *corev1.Pod, name string) (*corev1.Container, error) {
	if name == "" && len(pod.Spec.Containers) == 1 {
		name = pod.Spec.Containers[0].Name
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == name && s.State.Running == nil {
			return nil, fmt.Errorf("container %s: container is not created or running", name)
		}
	}
	for i, c := range pod.Spec.Containers {
		if c.Name == name {
			return &pod.Spec.Containers[i], nil
		}
	}
	if name == "" {
		return nil, errors.New("a container name must be specified")
	}
	return nil, fmt.Errorf("container %s is not valid for pod %s", name, pod.Name)
}

// ephemeral is a sidecar beside a container: with its processes, user and volumes, but for
// those of which it has a part only, which an ephemeral container may not have.
func ephemeral(name, image string, of *corev1.Container) corev1.EphemeralContainer {
	e := corev1.EphemeralContainer{TargetContainerName: of.Name, EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: name, Image: image, Command: sidecar.Command(name, sidecar.Idle), TerminationMessagePolicy: corev1.TerminationMessageReadFile,
	}}
	for _, m := range of.VolumeMounts {
		if m.SubPath == "" && m.SubPathExpr == "" {
			e.VolumeMounts = append(e.VolumeMounts, m)
		}
	}
	if c := of.SecurityContext.DeepCopy(); c != nil {
		c.ReadOnlyRootFilesystem = nil // artifacts and what tools need lie in the sidecar's own files
		e.SecurityContext = c
	}
	return e
}

// addSidecar adds an ephemeral container to a pod, beside those that it has.
func (c *Cluster) addSidecar(ctx context.Context, at Container, e corev1.EphemeralContainer) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": []corev1.EphemeralContainer{e}}})
	if err != nil {
		return fmt.Errorf("encode a sidecar: %w", err)
	}
	ctx, cancel := within(ctx)
	defer cancel()
	err = c.core.Patch(types.StrategicMergePatchType).Namespace(at.Namespace).Resource("pods").Name(at.Pod).SubResource("ephemeralcontainers").Body(patch).Do(ctx).Error()
	if err != nil {
		return c.Explain(fmt.Sprintf("make a sidecar in pod %s/%s", at.Namespace, at.Pod), because(ctx, err))
	}
	return nil
}

// begun reports whether a sidecar runs; the error is why it never will.
func begun(pod *corev1.Pod, name string) (bool, error) {
	for _, s := range pod.Status.EphemeralContainerStatuses {
		switch state := s.State; {
		case s.Name != name:
		case state.Running != nil:
			return true, nil
		case state.Terminated != nil:
			return false, sidecarFailed{pod.Name, name, fmt.Sprintf("it has ended with exit %d: %s %s", state.Terminated.ExitCode, state.Terminated.Reason, state.Terminated.Message)}
		case state.Waiting != nil && hopeless(state.Waiting.Reason):
			return false, sidecarFailed{pod.Name, name, state.Waiting.Reason + ": " + state.Waiting.Message}
		}
	}
	return false, nil
}

// hopeless reports whether a kubelet says of a container that it will not begin soon.
func hopeless(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return true
	}
	return false
}

// sidecarFailed is why a sidecar does not run.
type sidecarFailed struct{ pod, name, why string }

func (e sidecarFailed) Error() string {
	return fmt.Sprintf("the sidecar %s of pod %s does not run: %s", e.name, e.pod, strings.TrimSpace(e.why))
}

// sidecarsIn are the names of ephemeral containers of a pod that one sidecar had, also of
// those that have ended.
func sidecarsIn(pod *corev1.Pod, name string) (names []string) {
	for _, e := range pod.Spec.EphemeralContainers {
		if strings.HasPrefix(e.Name, name+"-") {
			names = append(names, e.Name)
		}
	}
	return names
}

// watch ends a Run when its sidecar has ended: the streams of a container whose processes
// went with those of another one may stay open.
func (b *beside) watch(ctx context.Context, in Container, stop context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sidecarWatch):
		}
		pod, err := b.cluster.Pod(ctx, in.Namespace, in.Pod)
		if err != nil {
			continue // who does not answer says nothing of the sidecar
		}
		if pod == nil || ended(pod, in.Container) {
			stop(errEnded)
			return
		}
	}
}

// ended reports whether an ephemeral container has ended, or is of a pod that was there
// before under the same name.
func ended(pod *corev1.Pod, name string) bool {
	for _, s := range pod.Status.EphemeralContainerStatuses {
		if s.Name == name {
			return s.State.Terminated != nil
		}
	}
	return len(sidecarsIn(pod, name[:strings.LastIndex(name, "-")])) == 0
}

// EndSidecars ends the ephemeral containers of a pod that a sidecar of that name had. What
// a pod says of one that has ended stays as long as the pod. A pod that is not there has
// none.
func (c *Cluster) EndSidecars(ctx context.Context, namespace, podName, name string) error {
	pod, err := c.Pod(ctx, namespace, podName)
	if err != nil || pod == nil {
		return err
	}
	var errs []error
	for _, s := range pod.Status.EphemeralContainerStatuses {
		if strings.HasPrefix(s.Name, name+"-") && s.State.Running != nil {
			errs = append(errs, c.endSidecar(ctx, Container{Namespace: namespace, Pod: podName, Container: s.Name}))
		}
	}
	return errors.Join(errs...)
}

// endTimeout bounds ending one sidecar, which is gone when the pod says so.
const endTimeout = 30 * time.Second

// endSidecar ends one sidecar, and waits until it has ended.
func (c *Cluster) endSidecar(ctx context.Context, at Container) error {
	ctx, cancel := context.WithTimeoutCause(ctx, endTimeout, fmt.Errorf("it had not ended after %s", endTimeout))
	defer cancel()
	t := c.Container(at, nil)
	defer t.Close()
	_, asked := t.Run(ctx, sidecar.End(at.Container), target.Streams{}) // it ends under the command, whose exit may never come
	for {
		pod, err := c.Pod(ctx, at.Namespace, at.Pod)
		if err == nil && (pod == nil || ended(pod, at.Container)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return &lockstep.Error{
				Op: fmt.Sprintf("end the sidecar %s of pod %s/%s", at.Container, at.Namespace, at.Pod), Err: errors.Join(context.Cause(ctx), err, asked),
				Hint: fmt.Sprintf("it ends by itself when nothing ran in it for %s; look at `kubectl%s --namespace %s describe pod %s`", sidecar.Idle, c.flags(), at.Namespace, at.Pod),
			}
		case <-time.After(sidecarLook):
		}
	}
}

// unmade adds to the error of a Run for which no sidecar could be made what to do.
func (b *beside) unmade(at Container, err error) (hint string, kind lockstep.Kind) {
	var failed sidecarFailed
	if !errors.As(err, &failed) {
		return "", ""
	}
	describe := fmt.Sprintf("look at `kubectl%s --namespace %s describe pod %s`", b.cluster.flags(), at.Namespace, at.Pod)
	switch {
	case strings.Contains(failed.why, "Image") || strings.Contains(failed.why, "pull"):
		return fmt.Sprintf("can its node get the image %s? %s", b.image, describe), lockstep.KindNotFound
	case strings.Contains(failed.why, "no such file") || strings.Contains(failed.why, "exit 127"):
		return fmt.Sprintf("the image %s has no shell: name one that has in sidecar_image, as debian:12", b.image), lockstep.KindInvalid
	}
	return describe, lockstep.KindConflict
}
