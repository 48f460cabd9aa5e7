package bosh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lockstep"
	"lockstep/source"
)

// undoTimeout bounds removing users after a Resolve that failed.
const undoTimeout = time.Minute

// undo removes the users of a Resolve that failed, with one call for each
// group.
func (r *resolution) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	err := r.close()
	if r.options.Exact && r.strangers.Load() {
		return errors.Join(err, r.letGo())
	}
	errs := []error{err}
	for _, g := range r.groups {
		// A setup that failed may have made users on some of the machines.
		if g.made || g.attempted && !r.options.Exact {
			errs = append(errs, r.cleanGroup(ctx, g))
		}
	}
	return errors.Join(append(errs, r.letGo())...)
}

// release closes the targets and removes the users: one call for each instance
// that was kept, where calls are exact, else one for each group. All are
// tried.
func (r *resolution) release(ctx context.Context) error {
	kept := r.leave(ctx)
	errs := []error{r.close()}
	if !r.options.Exact {
		errs = append(errs, r.cleanGroups(ctx))
	}
	for _, in := range kept {
		err := r.director.CleanupSSH(ctx, r.sshUser(in.Group), in.ID)
		if err == nil {
			r.track.released(ctx, r.resource(VM{Group: in.Group, ID: in.ID}))
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, r.letGo())...)
}

// leave has those instances remove the user for which the director is not
// asked, and gives those for which it is.
func (r *resolution) leave(ctx context.Context) (asked []source.Instance) {
	if !r.options.Exact {
		return nil
	}
	var wg sync.WaitGroup
	for _, g := range r.groups {
		for _, in := range g.opened {
			kept := slices.ContainsFunc(g.kept, func(k source.Instance) bool { return k.ID == in.ID })
			if kept && (r.options.CleanUp == nil || r.options.CleanUp(in)) {
				asked = append(asked, in)
				continue
			}
			wg.Go(func() { _ = r.removeThere(ctx, in) })
		}
	}
	wg.Wait()
	return asked
}

// removeThere has an instance remove the user. That is more than the original
// does, so that its failure is not a failure of the run.
func (r *resolution) removeThere(ctx context.Context, in source.Instance) error {
	if err := RemoveUserOn(ctx, in.Target, r.user); err != nil {
		r.director.options.Log("warn", fmt.Sprintf("SSH user %s stays on %s until the director removes it: %v", r.user, in.Name(), err))
		return err
	}
	r.track.released(ctx, r.resource(VM{Group: in.Group, ID: in.ID}))
	return nil
}

// cleanGroups removes the users of all groups. Where the director does not, the
// instances are asked to, over a connection that is made for it.
func (r *resolution) cleanGroups(ctx context.Context) error {
	errs := make([]error, len(r.groups))
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxSetups)
	for i, g := range r.groups {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := r.cleanGroup(ctx, g); err != nil && !r.removeOn(ctx, g) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// removeOn has all instances of a group remove the user, and reports whether
// all do.
func (r *resolution) removeOn(ctx context.Context, g *group) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	along := newOpener(r.director.way)
	defer along.Close()
	var left atomic.Int32
	var wg sync.WaitGroup
	for _, h := range g.hosts {
		wg.Go(func() {
			in := source.Instance{Group: g.name, ID: h.ID}
			var err error
			if in.Target, err = r.dial(along, h); err == nil {
				defer in.Target.Close()
				err = r.removeThere(ctx, in)
			}
			if err != nil {
				left.Add(1)
			}
		})
	}
	wg.Wait()
	return left.Load() == 0
}

// cleanGroup removes the users of a whole group.
func (r *resolution) cleanGroup(ctx context.Context, g *group) error {
	there, ids := r.answering(g)
	if len(there) == 0 {
		return nil
	}
	if err := r.director.CleanupSSH(ctx, r.sshUser(g.name), ids...); err != nil {
		return err
	}
	for _, vm := range there {
		r.track.released(ctx, r.resource(vm))
	}
	return nil
}

// close closes all targets.
func (r *resolution) close() error {
	var errs []error
	for _, g := range r.groups {
		for _, in := range g.opened {
			if err := in.Target.Close(); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", in.Name(), err))
			}
		}
	}
	return errors.Join(append(errs, r.opener.Close())...)
}

// Remove implements source.Remover: it removes SSH users. The director is
// asked, once for each user and group. Where its calls must be exact, the
// instances are; one of them that is not there any more took its users along.
func (s *Source) Remove(ctx context.Context, left []lockstep.Resource, now *source.Resolved) (gone []lockstep.Resource, err error) {
	type login struct{ group, user string }
	users := map[login][]lockstep.Resource{}
	var errs []error
	for _, x := range left {
		if x.Kind != lockstep.ResourceSSHUser {
			continue
		}
		group, _, ok := cutInstance(x.Instance)
		if !ok || !ourUser(x.Name) {
			errs = append(errs, fmt.Errorf("remove SSH user: %+v is none of a deployment of a director", x))
			continue
		}
		users[login{group, x.Name}] = append(users[login{group, x.Name}], x)
	}
	for c, resources := range users {
		removed, err := s.removeUser(ctx, c.group, c.user, resources, now)
		gone, errs = append(gone, removed...), append(errs, err)
	}
	return gone, errors.Join(errs...)
}

// removeUser removes one user from machines of one group.
func (s *Source) removeUser(ctx context.Context, group, user string, on []lockstep.Resource, now *source.Resolved) (gone []lockstep.Resource, err error) {
	if s.options.Exact {
		return removeThemThere(ctx, user, on, now)
	}
	var ids []string
	for _, x := range on {
		_, id, _ := cutInstance(x.Instance)
		ids = append(ids, id)
	}
	d, letGo, err := s.connection.use()
	if err != nil {
		return nil, err
	}
	defer func() { _ = letGo() }()
	if err := d.CleanupSSH(ctx, SSHUser{Deployment: s.options.Deployment, Group: group, Name: user}, ids...); err != nil {
		return nil, err
	}
	return on, nil
}

// removeThemThere has instances remove a user, all at once.
func removeThemThere(ctx context.Context, user string, on []lockstep.Resource, now *source.Resolved) (gone []lockstep.Resource, err error) {
	errs := make([]error, len(on))
	var wg sync.WaitGroup
	for i, x := range on {
		at := slices.IndexFunc(now.Instances, func(in source.Instance) bool { return in.Name() == x.Instance })
		if at < 0 {
			continue
		}
		wg.Go(func() {
			if err := RemoveUserOn(ctx, now.Instances[at].Target, user); err != nil {
				errs[i] = fmt.Errorf("remove SSH user %s on %s: %w", user, x.Instance, err)
			}
		})
	}
	wg.Wait()
	for i, x := range on {
		if errs[i] == nil {
			gone = append(gone, x)
		}
	}
	return gone, errors.Join(errs...)
}
