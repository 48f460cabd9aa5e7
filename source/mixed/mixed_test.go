package mixed

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/source"
)

// part is a source of one group.
type part struct {
	key      lockstep.DeploymentKey
	reach    string
	list     []source.Listing
	fails    error
	released int
	keeps    map[string][]string // by address
}

func (p *part) Info() lockstep.DeploymentInfo {
	return lockstep.DeploymentInfo{Name: "shop", Key: p.key, Source: "part"}
}
func (p *part) Reach() string                                  { return p.reach }
func (p *part) List(context.Context) ([]source.Listing, error) { return p.list, p.fails }
func (p *part) Release(context.Context) error                  { p.released++; return nil }
func (p *part) instances() (out []source.Instance) {
	for _, l := range p.list {
		out = append(out, source.Instance{Group: l.Group, ID: l.ID, Index: l.Index, Address: l.Address, Machine: l.Machine, Keeps: p.keeps[l.Address], Sudo: p.reach == "ssh"})
	}
	return out
}

func (p *part) Resolve(context.Context, source.Tracker) (*source.Resolved, error) {
	if p.fails != nil {
		return nil, p.fails
	}
	return &source.Resolved{Name: "shop", Key: p.key, Instances: p.instances(), Listed: p.list, Release: p.Release}, nil
}

func pair() (a, b *part) {
	a = &part{key: "k", reach: "ssh", list: []source.Listing{{Group: "db", ID: "0", Index: "0", Address: "h"}}}
	b = &part{key: "k", reach: "docker", list: []source.Listing{{Group: "web", ID: "1", Index: "1", Address: "c"}, {Group: "web", ID: "2", Index: "2", Address: "d"}}}
	return a, b
}

func TestTwoAsOne(t *testing.T) {
	t.Parallel()
	a, b := pair()
	s, err := New(a, b)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append(a.instances(), b.instances()...), r.Instances); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	now, err := s.List(t.Context())
	if err != nil || len(source.Changes(r.Listed, now)) != 0 || len(now) != 3 {
		t.Errorf("listed %v, then %v, %v", r.Listed, now, err)
	}
	if info := s.Info(); info.Source != "mixed" || info.Key != "k" || info.Name != "shop" {
		t.Errorf("info %+v", info)
	}
	if err := r.Release(t.Context()); err != nil || a.released != 1 || b.released != 1 {
		t.Errorf("released %d and %d times, %v", a.released, b.released, err)
	}
	parts, ok := Parts(s.Reach())
	if diff := cmp.Diff([]string{"ssh", "docker"}, parts); diff != "" || !ok {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	if _, ok := Parts(`{"name":"shop"}`); ok {
		t.Error("another reach was taken for ours")
	}
}

// TestOneFails: half a deployment is none, and nothing of it stays open.
func TestOneFails(t *testing.T) {
	t.Parallel()
	a, b := pair()
	b.fails = errors.New("no engine")
	s, err := New(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Resolve(t.Context(), nil); !errors.Is(err, b.fails) || r != nil || a.released != 1 {
		t.Errorf("got %v, %v, released %d times", r, err, a.released)
	}
	if list, err := s.List(t.Context()); !errors.Is(err, b.fails) || list != nil {
		t.Errorf("listed %v, %v", list, err)
	}
}

func TestTheSameTwice(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(b *part){
		"instance db/0 is there twice, at h and at c": func(b *part) { b.list[0].Group, b.list[0].ID = "db", "0" },
		"index db/0 is there twice, at h and at c":    func(b *part) { b.list[0].Group, b.list[0].Index = "db", "0" },
		"db/0 at h and web/2 at d are one container":  func(b *part) { b.list[1].Machine = "id-of-h" },
	} {
		a, b := pair()
		a.list[0].Machine, b.list[0].Machine = "id-of-h", "id-of-c"
		change(b)
		s, err := New(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Resolve(t.Context(), nil); err == nil || !strings.Contains(err.Error(), says) || a.released != 1 {
			t.Errorf("got %v; want %q", err, says)
		}
	}
}

// TestOneVolumeForTwo: nothing may be locked where the claim of another part's
// instance lies, and what is left there is unlocked all the same.
func TestOneVolumeForTwo(t *testing.T) {
	t.Parallel()
	a, b := pair()
	a.keeps = map[string][]string{"h": {"engine v/claim", "engine v/run"}}
	b.keeps = map[string][]string{"c": {"another v/claim"}, "d": {"engine w/claim", "engine v/run"}}
	s, err := New(a, b)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if one, other := r.Instances[0].Unfit, r.Instances[1].Unfit; one != nil || other != nil {
		t.Errorf("what has its own is unfit: %v, %v", one, other)
	}
	if err := r.Instances[2].Unfit; lockstep.KindOf(err) != lockstep.KindRefused || !strings.Contains(err.Error(), "db/0 at h") || !strings.Contains(err.Error(), "web/2 at d") || lockstep.HintOf(err) == "" {
		t.Errorf("what shares a volume: %v", err)
	}
}

func TestTwoDeployments(t *testing.T) {
	t.Parallel()
	a, b := pair()
	b.key = "other"
	if _, err := New(a, b); err == nil {
		t.Error("two deployments were joined")
	}
	if _, err := New(); err == nil {
		t.Error("nothing was joined")
	}
}

// remover is a part that makes something on its instances.
type remover struct {
	*part
	kind string
}

func (r remover) Remove(_ context.Context, left []lockstep.Resource, _ *source.Resolved) (gone []lockstep.Resource, err error) {
	for _, x := range left {
		if x.Kind == r.kind {
			gone = append(gone, x)
		}
	}
	return gone, r.fails
}

// TestRemove: each part that makes something removes it, also beside one that cannot.
func TestRemove(t *testing.T) {
	t.Parallel()
	a, b := pair()
	c := &part{key: "k", reach: "other", fails: errors.New("no engine answers")}
	s, err := New(a, remover{b, "sidecar"}, remover{c, "ssh-user"})
	if err != nil {
		t.Fatal(err)
	}
	left := []lockstep.Resource{{Kind: "claim", Name: "x"}, {Kind: "sidecar", Name: "y"}}
	gone, err := s.Remove(t.Context(), left, nil)
	if diff := cmp.Diff(left[1:], gone); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err == nil || !strings.Contains(err.Error(), "no engine answers") {
		t.Errorf("got %v", err)
	}
}
