package kubetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxPatch bounds what is read of a patch.
const maxPatch = 1 << 20

// addSidecars adds the ephemeral containers of a patch to a pod, and begins the command of
// each as a process of this machine.
func (s *Server) addSidecars(w http.ResponseWriter, r *http.Request, q request) {
	var patch struct {
		Spec struct {
			EphemeralContainers []corev1.EphemeralContainer `json:"ephemeralContainers"`
		} `json:"spec"`
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxPatch))
	if err == nil {
		err = json.Unmarshal(text, &patch)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := q.namespace + "/" + q.name
	pod, ok := s.pods[key]
	if !ok {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("pods %q not found", q.name))
		return
	}
	pod = *pod.DeepCopy()
	for _, e := range patch.Spec.EphemeralContainers {
		if has(pod, e.Name) || !has(pod, e.TargetContainerName) || len(e.Command) == 0 {
			refuse(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, fmt.Sprintf("Pod %q is invalid: ephemeral container %q beside %q", q.name, e.Name, e.TargetContainerName))
			return
		}
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, e)
		pod.Status.EphemeralContainerStatuses = append(pod.Status.EphemeralContainerStatuses, corev1.ContainerStatus{Name: e.Name, State: s.beginSidecar(key, e)})
	}
	s.pods[key] = pod
	answer(w, http.StatusOK, pod)
}

// beginSidecar begins an ephemeral container. The caller holds the lock.
func (s *Server) beginSidecar(key string, e corev1.EphemeralContainer) corev1.ContainerState {
	if slices.Contains(s.missing, e.Image) {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "there is no " + e.Image}}
	}
	c := exec.Command(e.Command[0], e.Command[1:]...)
	c.Dir = s.dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: err.Error()}}
	}
	s.processes[c.Process.Pid] = true
	s.sidecars[key+"/"+e.Name] = c.Process.Pid
	go func() {
		_ = c.Wait()
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // what runs in it ends with it
		s.sidecarEnded(key, e.Name, c.ProcessState.ExitCode())
	}()
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
}

func (s *Server) sidecarEnded(key, name string, exit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sidecars, key+"/"+name)
	pod, ok := s.pods[key]
	if !ok {
		return
	}
	pod = *pod.DeepCopy()
	for i, c := range pod.Status.EphemeralContainerStatuses {
		if c.Name == name {
			pod.Status.EphemeralContainerStatuses[i].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: int32(exit)}}
		}
	}
	s.pods[key] = pod
}

// Sidecars are the names of the ephemeral containers of a pod that run.
func (s *Server) Sidecars(namespace, pod string) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.pods[namespace+"/"+pod].Status.EphemeralContainerStatuses {
		if c.State.Running != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// KillSidecars ends the ephemeral containers of a pod, as the end of the container beside
// them does. Sessions in them stay open.
func (s *Server) KillSidecars(namespace, pod string) {
	for _, name := range s.Sidecars(namespace, pod) {
		s.mu.Lock()
		pid := s.sidecars[namespace+"/"+pod+"/"+name]
		s.mu.Unlock()
		if pid > 0 {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
}

// NoImage has no node get an image.
func (s *Server) NoImage(image string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missing = append(s.missing, image)
}
