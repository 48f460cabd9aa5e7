package spec

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/local"
	"lockstep/target/ssh"
)

// Source is the source of one specification. Make it with New or FromReach.
type Source struct {
	spec   Specification
	reread func() (Specification, error)
}

var (
	_ source.Lister = (*Source)(nil)
	_ source.Placer = (*Source)(nil)
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
	s.Locations = s.Locations.Or(lockstep.DefaultLocations())
	return &Source{spec: s}, nil
}

// Rereads has List call read for the specification as it is written now. Without
// it List gives the instances that the source was made with: nobody wrote them
// down where they could change.
func (s *Source) Rereads(read func() (Specification, error)) *Source {
	return &Source{spec: s.spec, reread: read}
}

// List reads the specification again, if it is known how.
func (s *Source) List(context.Context) ([]source.Listing, error) {
	if s.reread == nil {
		return s.spec.listed(), nil
	}
	now, err := s.reread()
	if err == nil {
		err = now.check()
	}
	if err != nil {
		return nil, err
	}
	return now.listed(), nil
}

// listed are the instances as a list has them. Over SSH the machine behind a
// name is known by its host key, which is not in the specification: it is
// checked with each connection.
func (s Specification) listed() []source.Listing {
	list := make([]source.Listing, len(s.Instances))
	for i, in := range s.Instances {
		list[i] = source.Listing{Group: in.Group, ID: in.ID, Index: in.Index, Address: cmp.Or(in.Host, in.Dir)}
	}
	return list
}

// FromReach makes the source again that Reach described. The file that it came
// from need not be there any more; the key is the same.
func FromReach(reach string) (*Source, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(reach)))
	decoder.DisallowUnknownFields()
	var s Specification
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("read how a deployment is reached: %w", err)
	}
	return New(s)
}

// Info names the deployment; see source.Key.
func (s *Source) Info() lockstep.DeploymentInfo {
	info := lockstep.DeploymentInfo{
		Name: s.spec.Name, Source: "ssh",
		Key: source.Key(s.spec.Identity, s.spec.File, s.spec.Name),
	}
	if s.spec.Local != nil {
		info.Source = "local"
	}
	return info
}

// Reach is the specification as JSON, for FromReach. Private keys that are in
// no file are left out.
func (s *Source) Reach() string {
	spec := s.spec
	if spec.SSH != nil {
		way := *spec.SSH
		way.PrivateKeys = nil
		spec.SSH = &way
	}
	out, err := json.Marshal(spec)
	if err != nil {
		// A specification holds texts, numbers and lists of them; it always
		// encodes.
		panic(fmt.Sprintf("encode specification: %v", err))
	}
	return string(out)
}

// Places implements source.Placer. One address is another machine behind another
// port, jump host or ssh_config.
func (s *Source) Places() []string {
	var places []string
	for _, in := range s.spec.Instances {
		if s.spec.Local != nil {
			places = append(places, source.LocalPlace(in.Dir))
			continue
		}
		way := s.spec.SSH
		places = append(places, fmt.Sprintf("ssh:%s port %d jump %s config %s", strings.ToLower(in.Host), way.Port, way.ProxyJump, way.ConfigFile))
	}
	return places
}

// Resolve opens a target to each instance, without dialing. All errors are
// told at once, in the specification's order. Nothing is tracked, because
// nothing is made remotely. The targets share a dialer of their own until
// Release closes it.
func (s *Source) Resolve(context.Context, source.Tracker) (*source.Resolved, error) {
	info := s.Info()
	r := &source.Resolved{
		Name: info.Name, Key: info.Key, Locations: s.spec.Locations, Listed: s.spec.listed(),
		Overrides: source.Overrides{Jobs: s.spec.Jobs, Apply: s.spec.Limits.Apply},
	}
	dialer := ssh.NewDialer(ssh.DialerOptions{})
	release := sync.OnceValue(func() error { return closeAll(r.Instances, dialer) })
	r.Release = func(context.Context) error { return release() }
	groups := map[string]bool{}
	var errs []error
	for _, in := range s.spec.Instances {
		opened := source.Instance{Group: in.Group, ID: in.ID, Index: in.Index, Bootstrap: !groups[in.Group], Root: s.spec.Sudo, Sudo: s.spec.Sudo}
		groups[in.Group] = true
		way, address, err := s.open(dialer, in)
		if err != nil {
			errs = append(errs, fmt.Errorf("open %s: %w", opened.Name(), err))
			continue
		}
		opened.Target, opened.Address = way, address
		r.Instances = append(r.Instances, opened)
	}
	if len(errs) > 0 {
		return nil, errors.Join(append(errs, closeAll(r.Instances, dialer))...)
	}
	return r, nil
}

// open opens the target of one instance.
func (s *Source) open(dialer *ssh.Dialer, in Instance) (target.Target, string, error) {
	if s.spec.SSH != nil {
		way := *s.spec.SSH
		way.Host = in.Host
		if _, _, err := net.SplitHostPort(in.Host); err == nil {
			way.Port = 0 // the host has its own, which is nearer
		}
		opened, err := dialer.Open(way)
		if err != nil {
			return nil, "", err
		}
		return opened, in.Host, nil
	}
	dir := in.Dir
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, "", fmt.Errorf("find the home folder: %w", err)
		}
		dir = home
	}
	return local.New(dir), dir, nil
}

func closeAll(instances []source.Instance, dialer *ssh.Dialer) error {
	var errs []error
	for _, in := range instances {
		if err := in.Target.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", in.Name(), err))
		}
	}
	return errors.Join(append(errs, dialer.Close())...)
}
