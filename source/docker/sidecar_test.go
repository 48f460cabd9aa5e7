package docker

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/target/docker"
	aside "lockstep/target/sidecar"
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

func withSidecars(t *testing.T, image string) (*Source, *docker.Engine) {
	t.Helper()
	s, err := New(Specification{Name: "shop", File: "/x.yaml", Engine: docker.Config{Host: "unix:///s"}, Project: "shop", SidecarImage: image})
	if err != nil {
		t.Fatal(err)
	}
	e, err := docker.Open(docker.Config{Host: "unix:///s"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, e
}

// TestSidecarsAreTracked: a sidecar is in the journal before it can be made, under a name
// of its own, and out of it when it is gone.
func TestSidecarsAreTracked(t *testing.T) {
	t.Parallel()
	s, e := withSidecars(t, "debian:12")
	list := []found{{group: "db", id: "1", container: "a"}, {group: "db", id: "2", container: "b"}}
	k := &tracked{}
	sidecars, err := s.sidecars(t.Context(), e, list, k)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.acquiring) != 2 || k.acquiring[0].Instance != "db/1" || k.acquiring[1].Instance != "db/2" ||
		k.acquiring[0].Name == k.acquiring[1].Name || k.acquiring[0].Kind != lockstep.ResourceSidecar || k.acquiring[0].Reach != "unix:///s" {
		t.Errorf("tracked %+v", k.acquiring)
	}
	for _, x := range k.acquiring {
		if !aside.IsName(x.Name) {
			t.Errorf("%q is not taken for one of ours", x.Name)
		}
	}
	if err := removeAll(t.Context(), sidecars, make([]bool, 2), k); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(k.acquiring, k.released); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
	full := &tracked{fails: errors.New("the disk is full")}
	if made, err := s.sidecars(t.Context(), e, list, full); err == nil || made != nil || len(full.acquiring) != 1 {
		t.Errorf("a journal that fails: %v, %v", made, err)
	}
	s, _ = withSidecars(t, "")
	if made, err := s.sidecars(t.Context(), e, list, k); err != nil || made != nil {
		t.Errorf("containers that have a shell: %v, %v", made, err)
	}
}

// TestRemovePassesOver: what is not a sidecar of ours on that engine is not touched, and
// the engine is not asked for it.
func TestRemovePassesOver(t *testing.T) {
	t.Parallel()
	s, _ := withSidecars(t, "debian:12")
	name := aside.NewName()
	gone, err := s.Remove(t.Context(), []lockstep.Resource{
		{Kind: lockstep.ResourceSSHUser, Name: name, Reach: "unix:///s"},
		{Kind: lockstep.ResourceSidecar, Name: name, Reach: "unix:///other"},
		{Kind: lockstep.ResourceSidecar, Name: "shop-db-1", Reach: "unix:///s"},
		{Kind: lockstep.ResourceSidecar, Name: "lockstep-sidecar-../../etc", Reach: "unix:///s"},
	}, nil)
	if gone != nil || err != nil {
		t.Errorf("got %+v, %v", gone, err)
	}
	gone, err = s.Remove(t.Context(), []lockstep.Resource{{Kind: lockstep.ResourceSidecar, Name: name, Reach: "unix:///s"}}, nil)
	if gone != nil || err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("an engine that does not answer: %+v, %v", gone, err)
	}
}
