package kubernetes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"lockstep"
	"lockstep/internal/kubetest"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/sidecar"
)

// tracked notes what a source says that it makes and removes.
type tracked struct {
	acquiring, released []lockstep.Resource
	fails               error
}

func (k *tracked) Acquiring(_ context.Context, x lockstep.Resource) error {
	k.acquiring = append(k.acquiring, x)
	return k.fails
}
func (k *tracked) Acquired(context.Context, lockstep.Resource) error { return nil }
func (k *tracked) Released(_ context.Context, x lockstep.Resource) error {
	k.released = append(k.released, x)
	return nil
}

func withSidecars(s *Specification) { s.StatefulSet, s.SidecarImage = "db", "debian:12" }

// TestSidecarsAreTracked: a sidecar is in the journal before it can be made, and out of it
// when it has ended; one that was never needed was never made.
func TestSidecarsAreTracked(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(set(2, 0), pod("db-0", of("StatefulSet", "db")), pod("db-1", of("StatefulSet", "db")))
	k := &tracked{}
	resolved, err := made(t, specification(t, s, withSidecars)).Resolve(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.acquiring) != 2 || k.acquiring[0].Instance != "db/0" || k.acquiring[0].Kind != lockstep.ResourceSidecar || !sidecar.IsName(k.acquiring[0].Name) ||
		k.acquiring[0].Name == k.acquiring[1].Name {
		t.Fatalf("tracked %+v", k.acquiring)
	}
	if made := append(s.Sidecars("shop", "db-0"), s.Sidecars("shop", "db-1")...); len(made) > 0 {
		t.Errorf("before any command there is %s", made)
	}
	if exit, err := resolved.Instances[0].Target.Run(t.Context(), "true", target.Streams{}); err != nil || !exit.OK() {
		t.Fatalf("got %v, %v", exit, err)
	}
	if diff := cmp.Diff([]string{k.acquiring[0].Name + "-1"}, s.Sidecars("shop", "db-0")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := resolved.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if left := append(s.Sidecars("shop", "db-0"), s.Sidecars("shop", "db-1")...); len(left) > 0 || len(k.released) != 2 {
		t.Errorf("left %s, released %+v", left, k.released)
	}
	full := &tracked{fails: errors.New("the disk is full")}
	if _, err := made(t, specification(t, s, withSidecars)).Resolve(t.Context(), full); err == nil || len(full.acquiring) != 1 {
		t.Errorf("a journal that fails: %v, %+v", err, full.acquiring)
	}
}

// TestRemove: the sidecars of a dead run are ended, and nothing else is.
func TestRemove(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(set(1, 0), pod("db-0", of("StatefulSet", "db")))
	src := made(t, specification(t, s, withSidecars))
	k := &tracked{}
	resolved, err := src.Resolve(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resolved.Instances[0].Target.Run(t.Context(), "true", target.Streams{}); err != nil {
		t.Fatal(err)
	}
	ours := k.acquiring[0] // and the orchestrator is killed
	elsewhere, other, anybodys, replaced := ours, ours, ours, ours
	elsewhere.Reach += "x"
	other.Kind = lockstep.ResourceSSHUser
	anybodys.Name = "postgres"
	replaced.Instance, replaced.Name = "db/7", sidecar.NewName()
	gone, err := src.Remove(t.Context(), []lockstep.Resource{elsewhere, other, anybodys}, nil)
	if len(gone) > 0 || err != nil || len(s.Sidecars("shop", "db-0")) != 1 {
		t.Errorf("of others: gone %+v, %v, left %s", gone, err, s.Sidecars("shop", "db-0"))
	}
	gone, err = src.Remove(t.Context(), []lockstep.Resource{ours, elsewhere, replaced}, nil)
	if diff := cmp.Diff([]lockstep.Resource{ours, replaced}, gone); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if left := s.Sidecars("shop", "db-0"); len(left) > 0 {
		t.Errorf("left: %s", left)
	}
	_ = resolved.Release(t.Context())
}

// TestUnfitForASidecar: what a run leaves must be where a sidecar can reach it.
func TestUnfitForASidecar(t *testing.T) {
	t.Parallel()
	p := pod("db-0")
	p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}}
	at := lockstep.ContainerLocations()
	for subPath, fit := range map[string]bool{"": true, "lockstep": false} {
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/var/lib/lockstep", SubPath: subPath}}
		list := []found{{group: "db", id: "0", name: "db-0", container: p.Spec.Containers[0].Name, pod: &p}}
		if errs, _ := unfit(list, at, true); (errs[0] == nil) != fit {
			t.Errorf("subPath %q: got %v", subPath, errs[0])
		}
		if errs, _ := unfit(list, at, false); errs[0] != nil {
			t.Errorf("subPath %q, without a sidecar: got %v", subPath, errs[0])
		}
	}
}

// TestANeededSidecarStays: where a run ends, or a recovery, and something lies in the
// claim's folder, the sidecar stays for the lease that may unlock in it.
func TestANeededSidecarStays(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(set(1, 0), pod("db-0", of("StatefulSet", "db")))
	claim := filepath.Join(t.TempDir(), "claim")
	left := filepath.Join(claim, "left")
	if err := errors.Join(os.Mkdir(claim, 0o700), os.WriteFile(left, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	src := made(t, specification(t, s, func(s *Specification) {
		withSidecars(s)
		s.Locations.Claim = claim
	}))
	resolve := func() (*source.Resolved, *tracked) {
		k := &tracked{}
		resolved, err := src.Resolve(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := resolved.Instances[0].Target.Run(t.Context(), "true", target.Streams{}); err != nil {
			t.Fatal(err)
		}
		return resolved, k
	}
	first, k := resolve()
	if err := first.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if len(s.Sidecars("shop", "db-0")) != 1 || len(k.released) > 0 {
		t.Errorf("at the end of the run: left %s, released %+v", s.Sidecars("shop", "db-0"), k.released)
	}
	now, _ := resolve()
	if gone, err := src.Remove(t.Context(), k.acquiring, now); len(gone) > 0 || err == nil || len(s.Sidecars("shop", "db-0")) != 2 {
		t.Errorf("at the end of a recovery: gone %+v, %v, left %s", gone, err, s.Sidecars("shop", "db-0"))
	}
	if err := os.Remove(left); err != nil {
		t.Fatal(err)
	}
	if gone, err := src.Remove(t.Context(), k.acquiring, now); len(gone) != 1 || err != nil {
		t.Errorf("when nothing is locked: gone %+v, %v", gone, err)
	}
	if err := now.Release(t.Context()); err != nil || len(s.Sidecars("shop", "db-0")) > 0 {
		t.Errorf("in the end: %v, left %s", err, s.Sidecars("shop", "db-0"))
	}
}
