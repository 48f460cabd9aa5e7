package docker

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"lockstep"
	"lockstep/target"
)

// TestMountsOfSidecar: a sidecar has what the container beside it has, and is the last
// user of no volume that an engine would take away with it.
func TestMountsOfSidecar(t *testing.T) {
	t.Parallel()
	got := mountsOf(container.InspectResponse{
		HostConfig: &container.HostConfig{Mounts: []mount.Mount{{Target: "/part", VolumeOptions: &mount.VolumeOptions{Subpath: "x/y"}}, {Target: "/named"}}},
		Mounts: []container.MountPoint{
			{Type: mount.TypeVolume, Name: "8f0c", Source: "/var/lib/docker/volumes/8f0c/_data", Destination: "/without-a-name", RW: true},
			{Type: mount.TypeVolume, Name: "named", Destination: "/named"},
			{Type: mount.TypeVolume, Name: "parts", Destination: "/part", RW: true},
			{Type: mount.TypeBind, Source: "/srv", Destination: "/srv", RW: true, Propagation: mount.PropagationRSlave},
			{Type: mount.TypeTmpfs, Destination: "/run"},
		},
	})
	want := []mount.Mount{
		{Type: mount.TypeVolume, Source: "8f0c", Target: "/without-a-name", VolumeOptions: &mount.VolumeOptions{NoCopy: true}},
		{Type: mount.TypeVolume, Source: "named", Target: "/named", ReadOnly: true, VolumeOptions: &mount.VolumeOptions{NoCopy: true}},
		{Type: mount.TypeVolume, Source: "parts", Target: "/part", VolumeOptions: &mount.VolumeOptions{NoCopy: true, Subpath: "x/y"}},
		{Type: mount.TypeBind, Source: "/srv", Target: "/srv", BindOptions: &mount.BindOptions{Propagation: mount.PropagationRSlave}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// fakeEngine answers as an engine does that has containers by name, and notes what it is
// told to remove.
type fakeEngine struct {
	has map[string]container.InspectResponse
	// answers are given in place of its own, by METHOD and the end of the path.
	answers map[string]func(http.ResponseWriter)

	mu      sync.Mutex
	removed []string
}

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for what, answer := range f.answers {
		method, end, _ := strings.Cut(what, " ")
		if r.Method == method && strings.HasSuffix(r.URL.Path, end) {
			answer(w)
			return
		}
	}
	_, rest, _ := strings.Cut(r.URL.Path, "/containers/")
	name, what, _ := strings.Cut(rest, "/")
	is, ok := f.has[name]
	switch {
	case strings.HasSuffix(r.URL.Path, "/_ping"):
		w.Header().Set("Api-Version", "1.48")
	case !ok:
		refuse(http.StatusNotFound, "No such container: "+name)(w)
	case r.Method == http.MethodGet && what == "json":
		_ = json.NewEncoder(w).Encode(is)
	case r.Method == http.MethodDelete:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.removed = append(f.removed, name)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(http.StatusInternalServerError, "what "+r.URL.Path+" means is not known")(w)
	}
}

func refuse(status int, message string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
	}
}

func (f *fakeEngine) open(t *testing.T) *Engine {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	e, err := Open(Config{Host: "tcp://" + strings.TrimPrefix(server.URL, "http://")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// TestRemoveSidecar: a sidecar is removed, and nothing else is.
func TestRemoveSidecar(t *testing.T) {
	t.Parallel()
	labeled := &container.Config{Labels: map[string]string{labelSidecar: "db"}}
	f := &fakeEngine{has: map[string]container.InspectResponse{
		"ours":   {ID: "ours", Config: labeled},
		"theirs": {ID: "theirs", Config: &container.Config{}},
	}}
	e := f.open(t)
	if err := e.RemoveSidecar(t.Context(), "ours"); err != nil {
		t.Error(err)
	}
	if err := e.RemoveSidecar(t.Context(), "gone"); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
	if err := e.RemoveSidecar(t.Context(), "theirs"); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("a container that is not a sidecar: %v", err)
	}
	if diff := cmp.Diff([]string{"ours"}, f.removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
}

// TestUnmade: why there is no sidecar, and what to type.
func TestUnmade(t *testing.T) {
	t.Parallel()
	beside := map[string]container.InspectResponse{"db": {ID: "db", Config: &container.Config{}}}
	for name, c := range map[string]struct {
		beside      string
		answers     map[string]func(http.ResponseWriter)
		kind        lockstep.Kind
		says, hint  string
		unreachable bool
	}{
		"no container": {beside: "web", kind: lockstep.KindConflict, says: "No such container: web", hint: "docker start web", unreachable: true},
		"no image": {
			beside: "db", answers: map[string]func(http.ResponseWriter){"POST /create": refuse(http.StatusNotFound, "No such image: debian:12")},
			kind: lockstep.KindNotFound, says: "No such image", hint: "pull debian:12",
		},
		"an engine that refuses": {
			beside: "db", answers: map[string]func(http.ResponseWriter){"POST /create": refuse(http.StatusForbidden, "authorization denied by plugin")},
			says: "denied by plugin",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := (&fakeEngine{has: beside, answers: c.answers}).open(t).Sidecar("s", c.beside, "debian:12", "0")
			defer s.Close()
			_, err := s.Run(t.Context(), "true", target.Streams{})
			if !errors.Is(err, target.ErrNotStarted) || errors.Is(err, target.ErrUnreachable) != c.unreachable || lockstep.KindOf(err) != c.kind {
				t.Errorf("got %v, of kind %q, unreachable: %v", err, lockstep.KindOf(err), errors.Is(err, target.ErrUnreachable))
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(lockstep.HintOf(err), c.hint) {
				t.Errorf("got %q, hint %q; want %q and %q", err, lockstep.HintOf(err), c.says, c.hint)
			}
		})
	}
}
