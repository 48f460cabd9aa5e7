package docker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/moby/moby/client"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/docker"
	"lockstep/target/ssh"
)

// Source is the source of one specification. Make it with New or FromReach.
type Source struct{ spec Specification }

var (
	_ source.Lister  = (*Source)(nil)
	_ source.Placer  = (*Source)(nil)
	_ source.Remover = (*Source)(nil)
)

// New makes a source. It contacts nothing; an error, of KindInvalid, is about
// the specification.
func New(s Specification) (*Source, error) {
	if err := s.check(); err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: fmt.Sprintf("use the specification of %q", s.Name), Err: err,
			Hint: "correct it in the configuration file",
		}
	}
	s.Locations = s.Locations.Or(lockstep.ContainerLocations())
	s.User = cmp.Or(s.User, "root")
	return &Source{s}, nil
}

// Info names the deployment; see source.Key.
func (s *Source) Info() lockstep.DeploymentInfo {
	return lockstep.DeploymentInfo{Name: s.spec.Name, Source: "docker", Key: source.Key(s.spec.Identity, s.spec.File, s.spec.Name)}
}

// Places implements source.Placer.
func (s *Source) Places() []string {
	if s.spec.Project != "" || s.spec.Label != "" {
		return []string{"docker:" + s.spec.Engine.Host + " project " + s.spec.Project + " label " + s.spec.Label}
	}
	var places []string
	for _, in := range s.spec.Instances {
		places = append(places, "docker:"+s.spec.Engine.Host+" container "+in.Container)
	}
	return places
}

// reach is what Reach says.
type reach struct {
	Kind string `json:"kind"` // "docker"
	Specification
}

// Reach is the specification as JSON, for FromReach.
func (s *Source) Reach() string {
	out, err := json.Marshal(reach{"docker", s.spec})
	if err != nil {
		// A specification holds texts, numbers and lists of them; it always
		// encodes.
		panic(fmt.Sprintf("encode specification: %v", err))
	}
	return string(out)
}

// IsReach reports whether a text is Reach of a Source.
func IsReach(text string) bool {
	var r struct {
		Kind string `json:"kind"`
	}
	return json.Unmarshal([]byte(text), &r) == nil && r.Kind == "docker"
}

// FromReach makes the source again that Reach described. The file that it came
// from need not be there any more; the key is the same.
func FromReach(text string) (*Source, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	var r reach
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("read how a deployment is reached: %w", err)
	}
	return New(r.Specification)
}

// Place is which containers on which engine the source of a Reach finds; ok is false
// where the text is not Reach of a Source.
func Place(text string) (place string, ok bool) {
	var r reach
	if json.Unmarshal([]byte(text), &r) != nil || r.Kind != "docker" {
		return "", false
	}
	which := "label " + r.Label
	switch {
	case r.Project != "":
		which = strings.Join(append([]string{"project " + r.Project}, r.Services...), " ")
	case len(r.Instances) > 0:
		which = "containers"
		for _, in := range r.Instances {
			which += fmt.Sprintf(" %s/%s=%s", in.Group, in.ID, in.Container)
		}
	}
	if r.Group != "" {
		which += " as " + r.Group
	}
	return which + " on " + r.Engine.Host, true
}

// way is an opened engine, with what is between it and us.
type way struct {
	*docker.Engine
	through target.Target // nil where nothing is
}

func (s *Source) open() (*way, error) {
	w := &way{}
	var err error
	if s.spec.SSH != nil {
		config := *s.spec.SSH
		if u, err := url.Parse(s.spec.Engine.Host); err == nil {
			config.Host = u.Host
			config.User = cmp.Or(u.User.Username(), config.User)
		}
		if w.through, err = ssh.NewDialer(ssh.DialerOptions{}).Open(config); err != nil {
			return nil, err
		}
	}
	if w.Engine, err = docker.Open(s.spec.Engine, w.through); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *way) close() error {
	var errs []error
	if w.Engine != nil {
		errs = append(errs, w.Engine.Close())
	}
	if w.through != nil {
		errs = append(errs, w.through.Close())
	}
	return errors.Join(errs...)
}

// List asks the engine again which containers there are.
func (s *Source) List(ctx context.Context) ([]source.Listing, error) {
	w, err := s.open()
	if err != nil {
		return nil, err
	}
	found, err := s.find(ctx, w.Engine)
	return listed(found), errors.Join(err, w.close())
}

func listed(found []found) []source.Listing {
	list := make([]source.Listing, len(found))
	for i, f := range found {
		list[i] = source.Listing{Group: f.group, ID: f.id, Index: f.index, Address: f.container, Machine: f.summary.ID}
	}
	return list
}

// Resolve asks the engine for the containers and opens a target in each, without
// running anything there. Sidecars alone are tracked; each is made when it is first
// needed. One that does not run, or is not there, is an instance that cannot be reached;
// so are all that are listed where the engine does not answer, which keeps nobody from
// unlocking what is elsewhere.
func (s *Source) Resolve(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	w, err := s.open()
	if err != nil {
		return nil, err
	}
	found, unasked := s.find(ctx, w.Engine)
	if unasked != nil && len(s.spec.Instances) == 0 {
		return nil, errors.Join(unasked, w.close())
	}
	if unasked != nil {
		found = s.ofList(nil)
	}
	info := s.Info()
	r := &source.Resolved{
		Name: info.Name, Key: info.Key, Locations: s.spec.Locations, Listed: listed(found),
		Overrides: source.Overrides{Jobs: s.spec.Jobs, Apply: s.spec.Limits.Apply},
	}
	sidecars, err := s.sidecars(ctx, w.Engine, found, track)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	unfit, keeps := unfit(found, s.spec.Locations)
	place := s.place(ctx, w.Engine, unasked == nil)
	user, _, _ := strings.Cut(s.spec.User, ":")
	root := user == "root" || user == "0"
	for i, f := range found {
		r.Instances = append(r.Instances, source.Instance{
			Group: f.group, ID: f.id, Index: f.index, Address: f.container, Target: s.target(w.Engine, sidecars, i, f),
			Bootstrap: i == 0 || found[i-1].group != f.group, Root: root, Unfit: cmp.Or(unasked, unfit[i]),
			Machine: f.summary.ID, Keeps: onEngine(place, keeps[i]),
			Scripts: scriptsOf(f),
		})
	}
	var once sync.Once
	var failed error
	r.Release = func(ctx context.Context) error {
		once.Do(func() { failed = s.release(ctx, w, r.Instances, sidecars, track) })
		return failed
	}
	return r, nil
}

// target is how an instance is reached: in a sidecar, where they have some, else in its
// container.
func (s *Source) target(engine *docker.Engine, sidecars []sidecar, i int, f found) target.Target {
	if sidecars != nil {
		return sidecars[i].Sidecar
	}
	return engine.Container(f.container, s.spec.User)
}

// release closes targets, and removes their sidecars.
func (s *Source) release(ctx context.Context, w *way, instances []source.Instance, sidecars []sidecar, track source.Tracker) error {
	needed := s.needed(ctx, sidecars)
	var errs []error
	for _, in := range instances {
		errs = append(errs, in.Target.Close())
	}
	errs = append(errs, removeAll(ctx, sidecars, needed, track))
	return errors.Join(append(errs, w.close())...)
}

// place tells the engine from every other, whatever address it is reached by: by the
// id that it has made for itself, or, where it does not tell it, by the address.
func (s *Source) place(ctx context.Context, engine *docker.Engine, answers bool) string {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if answers {
		if is, err := engine.API.Info(ctx, client.InfoOptions{}); err == nil && is.Info.ID != "" {
			return is.Info.ID
		}
	}
	return engine.Host()
}

// onEngine are places on one engine's machine, told from those on any other.
func onEngine(place string, folders []string) []string {
	out := make([]string, len(folders))
	for i, f := range folders {
		out[i] = place + " " + f
	}
	return out
}
