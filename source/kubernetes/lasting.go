package kubernetes

import (
	"errors"
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"lockstep"
)

// unfit says of each instance why a run must not lock anything in it, or nil. keeps is
// where what a run leaves lies outside of each. With sidecar, commands run in one.
func unfit(list []found, at lockstep.Locations, sidecar bool) (errs []error, keeps [][]string) {
	errs, keeps = make([]error, len(list)), make([][]string, len(list))
	owners := map[string]string{} // of the folders outside
	for i, f := range list {
		if f.pod == nil {
			continue // nothing can be run in it; that is told
		}
		if errs[i] = runs(f); errs[i] != nil {
			continue
		}
		for _, folder := range []string{at.Claim, at.Launcher} {
			outside, err := lasting(f, folder)
			if err == nil && sidecar {
				err = reachesSidecar(f, folder)
			}
			other, taken := owners[outside]
			switch {
			case errs[i] != nil:
			case err != nil:
				errs[i] = notLasting(f, folder, err, at)
			case taken:
				errs[i] = notLasting(f, folder, fmt.Errorf("it is the same folder as that of pod %s", other), at)
			}
			if outside != "" {
				owners[outside] = f.name
				keeps[i] = append(keeps[i], outside)
			}
		}
	}
	return errs, keeps
}

// runs says what keeps commands from running in a pod: which of its containers is
// meant, and whether that runs. Whether it is ready is not asked: a restore may be
// what makes it so.
func runs(f found) error {
	e := &lockstep.Error{Kind: lockstep.KindRefused, Op: "look whether pod " + f.name + " runs"}
	describe := fmt.Sprintf("look at `kubectl --namespace %s describe pod %s`", f.pod.Namespace, f.name)
	switch {
	case f.container == "":
		e.Kind, e.Err = lockstep.KindInvalid, errors.New("it has several containers")
		e.Hint = "write kubernetes: {container: NAME}, one of: " + containersOf(f.pod)
		return e
	case containerIn(f.pod, f.container) == nil:
		e.Kind, e.Err = lockstep.KindInvalid, fmt.Errorf("it has no container %s", f.container)
		e.Hint = "its containers are: " + containersOf(f.pod)
		return e
	case f.pod.Status.Phase != corev1.PodRunning:
		e.Err, e.Hint = fmt.Errorf("it is %s%s", f.pod.Status.Phase, reason(f.pod.Status.Reason)), describe
		return e
	}
	for _, c := range f.pod.Status.ContainerStatuses {
		switch {
		case c.Name != f.container || c.State.Running != nil:
			continue
		case c.State.Waiting != nil:
			e.Err = fmt.Errorf("its container %s waits%s", c.Name, reason(c.State.Waiting.Reason))
		case c.State.Terminated != nil:
			e.Err = fmt.Errorf("its container %s has ended%s", c.Name, reason(c.State.Terminated.Reason))
		default:
			continue
		}
		e.Hint = describe
		return e
	}
	return nil
}

func reason(why string) string {
	if why == "" {
		return ""
	}
	return fmt.Sprintf(": %.100s", why)
}

// lasting is where a folder of a container lies outside of it, where that outlives the
// pod. A volume that goes with the pod is enough where nothing else of the pod stays:
// what was locked in it is gone with it, too.
func lasting(f found, folder string) (outside string, err error) {
	if !path.IsAbs(folder) {
		return "", errors.New("it is not absolute")
	}
	holds := mountOf(f, folder)
	rest := strings.TrimPrefix(path.Clean(folder), path.Clean(holds.MountPath))
	v := volumeOf(f.pod, holds.Name)
	switch {
	case holds.MountPath == "":
		return "", errors.New("it lies in the container itself")
	case holds.ReadOnly:
		return "", fmt.Errorf("the volume at %s is read-only", holds.MountPath)
	case holds.SubPathExpr != "":
		return "", fmt.Errorf("the volume at %s has a subPathExpr, which may be another folder in another pod", holds.MountPath)
	case v.PersistentVolumeClaim != nil:
		return path.Join(f.pod.Namespace+"/"+v.PersistentVolumeClaim.ClaimName, holds.SubPath) + rest, nil
	case v.EmptyDir == nil && v.Ephemeral == nil:
		return "", fmt.Errorf("the volume at %s is neither that of a persistentVolumeClaim nor an emptyDir", holds.MountPath)
	}
	if stays := stayingVolume(f.pod); stays != "" {
		return "", fmt.Errorf("the volume at %s goes with the pod, and volume %s does not: what is locked there would stay locked", holds.MountPath, stays)
	}
	return path.Join(string(f.pod.UID)+"/"+holds.Name, holds.SubPath) + rest, nil
}

// mountOf is the mount of a container in which a folder lies; its path is "" where none is.
func mountOf(f found, folder string) (holds corev1.VolumeMount) {
	for _, m := range containerIn(f.pod, f.container).VolumeMounts {
		if within(folder, m.MountPath) && len(m.MountPath) > len(holds.MountPath) {
			holds = m
		}
	}
	return holds
}

// reachesSidecar says why a folder of a container is not in the sidecar beside it.
func reachesSidecar(f found, folder string) error {
	if m := mountOf(f, folder); m.SubPath != "" {
		return fmt.Errorf("the volume at %s has a subPath, which Kubernetes lets no ephemeral container mount", m.MountPath)
	}
	return nil
}

func volumeOf(p *corev1.Pod, name string) corev1.VolumeSource {
	for _, v := range p.Spec.Volumes {
		if v.Name == name {
			return v.VolumeSource
		}
	}
	return corev1.VolumeSource{}
}

// stayingVolume is the name of a volume that a pod may write to and that outlives it,
// or "".
func stayingVolume(p *corev1.Pod) string {
	for _, v := range p.Spec.Volumes {
		switch s := v.VolumeSource; {
		case s.EmptyDir != nil, s.Ephemeral != nil, s.ConfigMap != nil, s.Secret != nil, s.DownwardAPI != nil, s.Projected != nil, s.Image != nil:
		case s.PersistentVolumeClaim != nil && s.PersistentVolumeClaim.ReadOnly, readOnlyEverywhere(p, v.Name):
		default:
			return v.Name
		}
	}
	return ""
}

func readOnlyEverywhere(p *corev1.Pod, volume string) bool {
	for _, c := range p.Spec.Containers {
		for _, m := range c.VolumeMounts {
			if m.Name == volume && !m.ReadOnly {
				return false
			}
		}
	}
	return true
}

func within(folder, mount string) bool {
	folder, mount = path.Clean(folder), path.Clean(mount)
	return folder == mount || strings.HasPrefix(folder, strings.TrimSuffix(mount, "/")+"/")
}

// notLasting names the folder and what makes it last.
func notLasting(f found, folder string, why error, at lockstep.Locations) error {
	e := &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "look whether what a run leaves outlives pod " + f.name,
		Err: fmt.Errorf("%s would be lost with it, and with it what is locked: %w", folder, why),
	}
	volume := path.Dir(at.Claim)
	switch {
	case !path.IsAbs(folder):
		e.Hint = "write claim_location and launcher_location as absolute paths, or leave them out"
	case volume != path.Dir(at.Launcher) || volume == "/":
		e.Hint = fmt.Sprintf("put %s and %s on volumes of the pod's own", at.Claim, at.Launcher)
	default:
		e.Hint = fmt.Sprintf("give container %s of the pod a persistent volume of its own (of a StatefulSet: one of volumeClaimTemplates), as docs/kubernetes.md shows; or a subPath of one that it has:\n"+
			"    volumeMounts:\n    - {name: VOLUME, mountPath: %s, subPath: lockstep}", f.container, volume)
	}
	return e
}
