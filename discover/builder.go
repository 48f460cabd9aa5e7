package discover

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lockstep"
	"lockstep/source"
)

// builder makes an instance of what it answered and of what the specification
// says.
type builder struct {
	source    source.Instance
	overrides source.Overrides
	locations lockstep.Locations
	version   string // BBR_VERSION
	paths     bool   // note the paths of what was found
	lenient   bool   // towards metadata, as the original bbr is

	instance lockstep.Instance
	notes    []lockstep.Noted
	disabled []string
}

// build fills in instance and notes. All jobs are looked at before an error is
// returned.
func (b *builder) build(p probed) error {
	in := b.source
	b.instance = lockstep.Instance{Group: in.Group, ID: in.ID, Index: in.Index, Address: in.Address, Jobs: []lockstep.Job{}}
	if b.paths {
		b.listing(p)
	}
	var errs []error
	for _, name := range b.names(p) {
		if err := b.job(name, p); err != nil {
			errs = append(errs, err)
		}
	}
	if len(b.disabled) > 0 {
		b.note("debug", "", "Found disabled jobs on instance %s jobs: %s", in.Name(), strings.Join(b.disabled, " "))
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// names are the jobs that ship scripts there, or for which some are brought along,
// sorted.
func (b *builder) names(p probed) []string {
	names := slices.Collect(maps.Keys(p.scripts))
	for name := range b.overrides.Brought(b.source) {
		if _, ships := p.scripts[name]; !ships {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// brought is a script that the run brings along.
func (b *builder) brought(kind lockstep.ScriptKind, text string) lockstep.Script {
	sum := sha256.Sum256([]byte(text))
	digest := hex.EncodeToString(sum[:])
	return lockstep.Script{Kind: kind, Path: b.locations.Pushed(digest), Digest: digest}
}

// listing notes the paths of all scripts that were found, as find lists them.
func (b *builder) listing(p probed) {
	b.note("debug", "", "Attempting to find scripts on %s", b.source.Name())
	var paths strings.Builder
	for _, job := range slices.Sorted(maps.Keys(p.scripts)) {
		for _, kind := range lockstep.ScriptKinds() {
			if _, ok := p.scripts[job][kind]; ok {
				paths.WriteString(b.path(job, kind) + "\n")
			}
		}
	}
	b.note("debug", "", "[find files] stdout: %s", paths.String())
	b.note("debug", "", "[find files] stderr: ")
	if paths.Len() == 0 {
		b.note("debug", "", "No files found for pattern '%s'", b.path("*", "*"))
	}
}

// path is where a script lies on the instance.
func (b *builder) path(job string, kind lockstep.ScriptKind) string {
	return strings.TrimSuffix(b.locations.ScriptDir(job), "/") + "/" + string(kind)
}

func (b *builder) note(level, job, format string, args ...any) {
	b.notes = append(b.notes, lockstep.Noted{
		Level: level, Message: fmt.Sprintf(format, args...), Instance: b.source.Name(), Job: job,
	})
}

// job adds one job, unless it is disabled.
func (b *builder) job(name string, p probed) error {
	override := b.overrides.Jobs[name]
	if override.Skip {
		b.disabled = append(b.disabled, name)
		return nil
	}
	j := lockstep.Job{Name: name}
	brought := b.overrides.Brought(b.source)[name]
	for _, kind := range lockstep.ScriptKinds() {
		if text, ok := brought[kind]; ok {
			j.Scripts = append(j.Scripts, b.brought(kind, text))
		} else if digest, ok := p.scripts[name][kind]; ok {
			j.Scripts = append(j.Scripts, lockstep.Script{
				Kind: kind, Path: b.path(name, kind), Digest: digest, NotExecutable: slices.Contains(p.idle[name], string(kind)),
			})
		}
	}
	own, err := b.metadata(j, override, p)
	if err != nil {
		return err
	}
	if own.skip {
		b.disabled = append(b.disabled, name)
		return nil
	}
	for _, s := range j.Scripts {
		b.note("info", name, "%s/%s/%s", b.source.Name(), name, s.Kind)
	}
	j.Metadata = merge(own.Metadata, override)
	b.release(&j)
	b.order(j)
	b.oneRestoreAll(&j)
	b.open(j, p.open[name])
	b.instance.Jobs = append(b.instance.Jobs, j)
	return nil
}

// metadata is what the job's metadata script said, if it was to be asked.
func (b *builder) metadata(j lockstep.Job, override source.JobOverride, p probed) (said, error) {
	script, ok := j.Script(lockstep.ScriptMetadata)
	if !ok || override.Replace {
		return said{}, nil
	}
	where := fmt.Sprintf("job %s on %s", j.Name, b.source.Name())
	a, ok := p.answers[j.Name]
	switch {
	case !ok:
		return said{}, &lockstep.Error{
			Op:   "An error occurred while running metadata script for " + where,
			Err:  errors.New("it was not run"),
			Hint: "scripts there are being changed; try again when that has ended",
		}
	// A script that printed too much is cut, and fails for that.
	case len(a.stdout) <= maxMetadata && a.code != "0":
		return said{}, &lockstep.Error{
			Op:   "An error occurred while running metadata script for " + where,
			Err:  errors.New(a.describe()),
			Hint: fmt.Sprintf("run it there: sudo BBR_VERSION=%s %s; or leave the job out (skip: true in the specification)", b.version, script.Path),
		}
	}
	out, err := parseMetadata(a.stdout, b.lenient)
	if err != nil {
		return said{}, &lockstep.Error{
			Kind: lockstep.KindInvalid,
			Op:   fmt.Sprintf("Parsing metadata from %s failed", where), Err: err,
			Hint: fmt.Sprintf("look at what %s prints there; the specification can take its place (replace: true)", script.Path),
		}
	}
	for _, p := range out.passed {
		b.note("warn", j.Name, "metadata of %s: %s", where, p)
	}
	return out, nil
}

// describe says how a metadata script failed.
func (a answer) describe() string {
	how := "exit " + a.code
	switch code, late := strings.CutPrefix(a.code, "t"); {
	case late && (code == "124" || code == "137"):
		how = "it did not end in time and was stopped"
	case late:
		how = "it was stopped (" + code + ")"
	}
	return how + ": " + cmp.Or(lastLines(string(a.stderr)), "nothing on stderr")
}

// merge adds what the specification says to what the job says.
func merge(own lockstep.Metadata, override source.JobOverride) lockstep.Metadata {
	more := override.Metadata
	if override.Replace {
		return more
	}
	own.BackupBefore = union(own.BackupBefore, more.BackupBefore)
	own.RestoreBefore = union(own.RestoreBefore, more.RestoreBefore)
	own.MayBeEmpty = own.MayBeEmpty || more.MayBeEmpty
	own.RestoreParallel = own.RestoreParallel || more.RestoreParallel
	own.ScriptTimeout = cmp.Or(more.ScriptTimeout, own.ScriptTimeout)
	return own
}

func union(a, b []lockstep.JobRef) []lockstep.JobRef {
	for _, r := range b {
		if !slices.Contains(a, r) {
			a = append(a[:len(a):len(a)], r)
		}
	}
	return a
}

// release fills in the job's release. A source without releases gives jobs
// none, so that references must not ask for one.
func (b *builder) release(j *lockstep.Job) {
	if b.overrides.Releases == nil {
		j.Metadata.BackupBefore = withoutReleases(j.Metadata.BackupBefore)
		j.Metadata.RestoreBefore = withoutReleases(j.Metadata.RestoreBefore)
		return
	}
	var ok bool
	if j.Release, ok = b.overrides.Releases[b.source.Group][j.Name]; !ok {
		b.note("warn", j.Name, "could not find release name for job %s", j.Name)
	}
}

func withoutReleases(refs []lockstep.JobRef) []lockstep.JobRef {
	var out []lockstep.JobRef
	for _, r := range refs {
		if r.Release = ""; !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// order notes what the job asks for.
func (b *builder) order(j lockstep.Job) {
	for _, x := range []struct {
		refs   []lockstep.JobRef
		during string
	}{{j.Metadata.BackupBefore, "backup"}, {j.Metadata.RestoreBefore, "restore"}} {
		for _, r := range x.refs {
			other := r.Job
			if r.Release != "" {
				other = r.Release + "/" + r.Job
			}
			b.note("info", j.Name, "Detected order: %s should be locked before %s during %s", j.Name, other, x.during)
		}
	}
}

// oneRestoreAll makes the first instance's artifact the one that all instances
// are restored from.
func (b *builder) oneRestoreAll(j *lockstep.Job) {
	if !b.overrides.OneRestoreAll[b.source.Group][j.Name] && !b.overrides.Jobs[j.Name].OneRestoreAll {
		return
	}
	j.RestoresFrom = j.Name + "-backup-one-restore-all"
	if j.Release != "" {
		j.RestoresFrom = fmt.Sprintf("%s-%s-backup-one-restore-all", j.Name, j.Release)
	}
	if b.source.Bootstrap {
		j.CustomArtifact = j.RestoresFrom
	}
}

// open warns of what everybody on the instance could change: scripts run as
// root.
func (b *builder) open(j lockstep.Job, names []string) {
	slices.Sort(names)
	dir := strings.TrimSuffix(b.locations.ScriptDir(j.Name), "/")
	for _, name := range names {
		if _, ok := j.Script(lockstep.ScriptKind(name)); name != "" && !ok {
			continue
		}
		path := strings.TrimSuffix(dir+"/"+name, "/")
		b.note("warn", j.Name, "every user of %s can change %s; chmod o-w it", b.source.Name(), path)
	}
}
