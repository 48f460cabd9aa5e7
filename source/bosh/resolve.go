package bosh

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	gossh "golang.org/x/crypto/ssh"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
)

// maxSetups bounds the groups that are set up at once.
const maxSetups = 5

// resolution is one Resolve, and what it has to give back.
type resolution struct {
	*Source
	director *Director
	letGo    func() error // of the director
	track    *tracker
	user     string
	public   string // line of authorized_keys
	pem      []byte
	vms      []VM
	facts    facts
	opener   *opener
	// groups are all groups, in the order in which the director lists them.
	groups []*group
	// strangers: a machine showed no usable host key, so that no cleanup call
	// is made where calls are exact.
	strangers atomic.Bool
}

// group is an instance group.
type group struct {
	name string
	vms  []VM
	// attempted, made: its users were asked for, and are there.
	attempted, made bool
	opened          []source.Instance // in the order of the director's answer
	hosts           []SSHHost         // the same, as the director has them
	kept            []source.Instance
}

// Resolve lists the machines, makes our user on them and opens targets. One
// user and key serve all instances of a run. With an error, users that were
// made are removed again.
func (s *Source) Resolve(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	director, letGo, err := s.connection.use()
	if err != nil {
		return nil, err
	}
	r := &resolution{Source: s, director: director, letGo: letGo, track: &tracker{to: track}, opener: newOpener(director.way)}
	if err := r.resolve(ctx); err != nil {
		return nil, errors.Join(err, r.undo(ctx))
	}
	out := r.resolved(nil)
	for _, g := range r.groups {
		out.Instances = append(out.Instances, g.kept...)
	}
	var once sync.Once
	var released error
	out.Release = func(ctx context.Context) error {
		once.Do(func() { released = r.release(ctx) })
		return released
	}
	return out, nil
}

// resolved is what is known of the deployment, with some of its instances.
func (r *resolution) resolved(instances []source.Instance) *source.Resolved {
	info := r.Info()
	return &source.Resolved{
		Name: info.Name, Key: info.Key, Locations: r.options.Locations, Instances: instances, Listed: listed(r.vms),
		Overrides: source.Overrides{
			Jobs: r.options.Jobs, Apply: r.options.Apply,
			Releases: r.facts.releases, OneRestoreAll: r.facts.oneRestoreAll,
		},
	}
}

func (r *resolution) resolve(ctx context.Context) error {
	d, name := r.director, r.options.Deployment
	if _, err := d.Info(ctx); err != nil {
		return err
	}
	if name == "" {
		return &lockstep.Error{
			Kind: lockstep.KindUsage, Op: "couldn't find deployment ''", Err: errors.New("Expected deployment name to be non-empty"),
			Hint: "name one deployment",
		}
	}
	keyed := make(chan error, 1)
	go func() { keyed <- r.makeKey() }() // takes as long as the director's answer
	err := r.ask(ctx, d, name)
	if err := errors.Join(err, <-keyed); err != nil {
		return err
	}
	if r.options.Exact {
		return r.oneByOne(ctx)
	}
	return r.allAtOnce(ctx)
}

// ask finds out what the director knows.
func (r *resolution) ask(ctx context.Context, d *Director, name string) (err error) {
	if r.vms, err = d.VMs(ctx, name); err != nil {
		return err
	}
	manifest, err := d.Manifest(ctx, name)
	if err != nil {
		return err
	}
	if r.facts, err = readManifest(manifest); err != nil {
		d.options.Log("warn", fmt.Sprintf("no releases are known of %s: %v", name, err))
	}
	byName := map[string]*group{}
	seen := map[string]bool{}
	for _, vm := range r.vms {
		// An id is unique in its group: some directors count in each anew.
		instance := "instance " + vm.Group + "/" + vm.ID
		if seen[instance] {
			return twice(name, instance)
		}
		place := fmt.Sprintf("index %d of %s", vm.Index, vm.Group)
		if seen[place] && !r.options.Exact {
			return twice(name, place)
		}
		seen[instance], seen[place] = true, true
		g := byName[vm.Group]
		if g == nil {
			g = &group{name: vm.Group}
			byName[vm.Group], r.groups = g, append(r.groups, g)
		}
		g.vms = append(g.vms, vm)
	}
	return nil
}

// twice is the error of a list in which something is there twice.
func twice(deployment, what string) error {
	return &lockstep.Error{
		Kind: lockstep.KindConflict, Op: "list the VMs of " + deployment, Err: errors.New(what + " is there twice"),
		Hint: "a deploy may be under way: when `bosh tasks` shows none, try again",
	}
}

// makeKey makes the run's user name and key.
func (r *resolution) makeKey() error {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	// At most 20 characters in all, for Windows.
	r.user = "bosh_" + hex.EncodeToString(b[:])[:15]
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make SSH key: %w", err)
	}
	block, err := gossh.MarshalPrivateKey(key, "")
	if err != nil {
		return fmt.Errorf("make SSH key: %w", err)
	}
	public, err := gossh.NewPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("make SSH key: %w", err)
	}
	r.pem = pem.EncodeToMemory(block)
	r.public = strings.TrimSpace(string(gossh.MarshalAuthorizedKey(public)))
	return nil
}

// oneByOne sets groups up one after another, each looked at before the next.
func (r *resolution) oneByOne(ctx context.Context) error {
	for _, g := range r.groups {
		if err := r.setUp(ctx, g); err != nil {
			return err
		}
		g.kept = g.opened
		if r.options.AfterGroup == nil {
			continue
		}
		kept, err := r.options.AfterGroup(ctx, r.resolved(slices.Clone(g.opened)))
		if err != nil {
			return err
		}
		g.kept = kept
	}
	return nil
}

// allAtOnce sets all groups up, some at the same time.
func (r *resolution) allAtOnce(ctx context.Context) error {
	errs := make([]error, len(r.groups))
	slots := make(chan struct{}, maxSetups)
	var wg sync.WaitGroup
	for i, g := range r.groups {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = r.setUp(ctx, g)
			g.kept = g.opened
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.withoutWindows(ctx)
	return nil
}

// setUp makes our user on a group's machines and opens targets to them. The
// journal knows of each user before it exists.
func (r *resolution) setUp(ctx context.Context, g *group) error {
	there, ids := r.answering(g)
	for _, vm := range there {
		if err := r.track.acquiring(ctx, r.resource(vm)); err != nil {
			return err
		}
	}
	if len(there) == 0 {
		r.addSilent(g)
		return nil
	}
	g.attempted = true
	hosts, err := r.director.SetupSSH(ctx, r.sshUser(g.name), ids...)
	if err != nil {
		return err
	}
	g.made = true
	for _, h := range hosts {
		in, err := r.open(g, h)
		if err != nil {
			return fmt.Errorf("set up SSH on %s of %s: instance %q: %w", g.name, r.options.Deployment, h.ID, err)
		}
		g.opened = append(g.opened, in)
		if err := r.track.acquired(ctx, r.resource(VM{Group: g.name, ID: h.ID})); err != nil {
			return err
		}
	}
	r.addSilent(g)
	return nil
}

// sshUser is our user on the machines of a group.
func (r *resolution) sshUser(group string) SSHUser {
	return SSHUser{Deployment: r.options.Deployment, Group: group, Name: r.user, PublicKey: r.public}
}

// resource is our user on a machine.
func (r *resolution) resource(vm VM) lockstep.Resource {
	return lockstep.Resource{
		Kind: lockstep.ResourceSSHUser, Instance: lockstep.InstanceID(vm.Group + "/" + vm.ID), Name: r.user,
		Reach: r.director.URL() + deploymentPath(r.options.Deployment),
	}
}

// open opens a target to a machine on which our user is.
func (r *resolution) open(g *group, h SSHHost) (source.Instance, error) {
	i := slices.IndexFunc(g.vms, func(vm VM) bool { return vm.ID == h.ID })
	if i < 0 {
		return source.Instance{}, errors.New("it is not in the list of VMs of that group")
	}
	if slices.ContainsFunc(g.opened, func(in source.Instance) bool { return in.ID == h.ID }) {
		return source.Instance{}, errors.New("it is there twice")
	}
	opened, err := r.dial(r.opener, h)
	if err != nil {
		return source.Instance{}, err
	}
	g.hosts = append(g.hosts, h)
	if r.options.UserGrace > 0 {
		opened = guarded(opened, r.user, r.options.UserGrace)
	}
	vm := g.vms[i]
	return source.Instance{
		Group: g.name, ID: vm.ID, Index: fmt.Sprint(vm.Index), Address: h.IP,
		Bootstrap: r.bootstrap(g, h), Target: opened, Root: true, Sudo: true,
	}, nil
}

// dial opens a target as our user.
func (r *resolution) dial(along *opener, h SSHHost) (target.Target, error) {
	key, _, _, _, err := gossh.ParseAuthorizedKey([]byte(h.HostKey))
	if err != nil {
		r.strangers.Store(true)
		return nil, fmt.Errorf("read its host key %q: %w", h.HostKey, err)
	}
	if h.IP == "" {
		return nil, &lockstep.Error{
			Err:  errors.New("the director gives no address of it"),
			Hint: "`bosh -d " + r.options.Deployment + " vms` shows its state, `bosh -d " + r.options.Deployment + " cck` repairs it",
		}
	}
	config := r.options.SSH
	config.User, config.PrivateKeys = r.user, [][]byte{r.pem}
	config.HostKey = strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key)))
	return along.open(config, h.IP)
}

// bootstrap reports whether a machine is the first of its group: the one that
// is marked so has its address.
func (r *resolution) bootstrap(g *group, h SSHHost) bool {
	return slices.ContainsFunc(g.vms, func(vm VM) bool { return vm.Bootstrap && slices.Contains(vm.IPs, h.IP) })
}
