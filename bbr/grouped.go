package bbr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"lockstep"
	"lockstep/discover"
	"lockstep/source"
	"lockstep/target"
)

// grouped discovers a deployment as its director sets it up: group after group,
// all instances of a group at once. What it found is the run's discovery, so
// that no instance is asked twice.
type grouped struct {
	version string
	clean   bool // the run is a cleanup
	debug   bool // the paths of what is found are told
	warn    func(string)

	mu    sync.Mutex
	found []lockstep.Instance
	notes []lockstep.Noted
	warns []string
}

// afterGroup looks at a group. Of a group's instances those that run Windows
// are not part of the deployment, and as in the original neither are those that
// come after one without jobs.
func (g *grouped) afterGroup(ctx context.Context, group *source.Resolved) ([]source.Instance, error) {
	d, notes, kept, err := g.look(ctx, group)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.notes = append(g.notes, notes...)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(d.Instances, func(in lockstep.Instance) bool { return len(in.Jobs) == 0 }); i >= 0 && !someJobs(d.Instances[i+1:]) {
		kept, d.Instances = kept[:i+1], d.Instances[:i+1]
	}
	g.found = append(g.found, d.Instances...)
	for _, w := range d.Warnings {
		if !slices.Contains(g.warns, w) {
			g.warns = append(g.warns, w)
		}
	}
	return kept, nil
}

// look asks all instances of a group at once what they are and what they carry.
// Only where some turn out to run Windows are the others asked once more.
func (g *grouped) look(ctx context.Context, group *source.Resolved) (lockstep.Deployment, []lockstep.Noted, []source.Instance, error) {
	all := group.Instances
	type answer struct {
		kept []source.Instance
		err  error
	}
	asked := make(chan answer, 1)
	go func() {
		kept, err := g.withoutWindows(ctx, all)
		asked <- answer{kept, err}
	}()
	options := discover.Options{Version: g.version, Paths: g.debug, Lenient: true}
	d, notes, err := discover.Discover(ctx, group, options)
	a := <-asked
	if a.err != nil {
		return d, notes, nil, a.err
	}
	if len(a.kept) < len(all) {
		rest := *group
		rest.Instances = a.kept
		d, notes, err = discover.Discover(ctx, &rest, options)
	}
	return d, notes, a.kept, err
}

func someJobs(instances []lockstep.Instance) bool {
	return slices.ContainsFunc(instances, func(in lockstep.Instance) bool { return len(in.Jobs) > 0 })
}

// withoutWindows asks all instances at once what they are.
func (g *grouped) withoutWindows(ctx context.Context, instances []source.Instance) ([]source.Instance, error) {
	windows := make([]bool, len(instances))
	errs := make([]error, len(instances))
	var wg sync.WaitGroup
	for i, in := range instances {
		wg.Go(func() {
			var out strings.Builder
			_, err := in.Target.Run(ctx, "echo %OS%", target.Streams{Stdout: &out})
			if err != nil {
				errs[i] = fmt.Errorf("reach instance %s: %w", in.Name(), err)
			}
			windows[i] = strings.TrimSpace(out.String()) == "Windows_NT"
		})
	}
	wg.Wait()
	var kept []source.Instance
	for i, in := range instances {
		switch {
		case errs[i] != nil:
			return nil, errs[i]
		case windows[i]:
			g.warn(fmt.Sprintf("skipping Windows instance %s", in.Name()))
		default:
			kept = append(kept, in)
		}
	}
	return kept, nil
}

// discover is what was found, as app.Config wants it.
func (g *grouped) discover(_ context.Context, resolved *source.Resolved, _ discover.Options) (lockstep.Deployment, []lockstep.Noted, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return lockstep.Deployment{
		Name: resolved.Name, Key: resolved.Key, Locations: resolved.Locations,
		Instances: slices.Clone(g.found), Warnings: slices.Clone(g.warns),
	}, slices.Clone(g.notes), nil
}

// forget begins anew, for another Resolve.
func (g *grouped) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.found, g.notes, g.warns = nil, nil, nil
}

// cleansUp reports whether the director is asked to clean an instance up at the
// end. The original's cleanups leave instances out that have neither a backup
// nor a restore script.
func (g *grouped) cleansUp(in source.Instance) bool {
	if !g.clean {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.found, func(f lockstep.Instance) bool {
		return f.Name() == in.Name() && f.MovesArtifacts()
	})
}

// provable asks for the program with which the original proves an artifact on
// an instance. Where it is missing the original could not restore what is backed
// up there, so that it is not called a backup.
func provable(ctx context.Context, in source.Instance) error {
	exit, err := in.Target.Run(ctx, "command -v shasum >/dev/null", target.Streams{})
	switch {
	case err != nil:
		return fmt.Errorf("look for shasum on %s: %w", in.Name(), err)
	case !exit.OK():
		return &lockstep.Error{
			Op: fmt.Sprintf("calculate checksums on %s", in.Name()), Err: errors.New("shasum: command not found"),
			Hint: "install it there (it comes with perl): the original needs it to restore this backup",
		}
	}
	return nil
}
