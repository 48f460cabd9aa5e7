package source

import (
	"path/filepath"
	"slices"
	"strings"

	"lockstep"
)

// Placer is a Source that can say where its instances are without asking anybody.
type Placer interface {
	// Places are texts, one at least for each instance, that two descriptions share
	// only where both mean the same machine, the same folder of this machine, or the
	// same containers.
	Places() []string
}

// localPlace begins the place of a folder of this machine.
const localPlace = "local:"

// LocalPlace is the place of a folder of this machine.
func LocalPlace(dir string) string { return localPlace + Canonical(dir) }

// Described is a deployment as a file describes it.
type Described struct {
	Name, Identity string
	// File is the canonical path of the file.
	File   string
	Places []string
}

// Known is a deployment as a journal knows it by its runs.
type Known struct {
	Key lockstep.DeploymentKey
	// File is where it was described last, "" where nobody knows; Places are
	// those of its newest run.
	File   string
	Places []string
	// Open: something of it may be locked, or a run of it has not ended.
	Open bool
}

// Verdict says which of the known deployments a described one is.
type Verdict int

// The verdicts.
const (
	// IsNew: none; its key is made of its identity or its file.
	IsNew Verdict = iota
	// IsSame: the one that this file described before, or one that another file
	// describes, too, with the same instances.
	IsSame
	// HasMoved: one that another file described, which is gone.
	HasMoved
	// IsOpen: it has been given an identity since, and keeps its key until what is
	// open is settled.
	IsOpen
	// IsUnclear: there are some of that name, and it has not all instances in common
	// with any. A person must say.
	IsUnclear
)

// Recognize says which of the known deployments of its name, the newest first, a
// described one is, and gives its key. File and folder of a description may change,
// and so may its instances, but not both at once: two deployments that are taken
// for one are unlocked and restored for one another. There says whether a file or
// folder is there.
func (d Described) Recognize(known []Known, there func(string) bool) (Known, Verdict) {
	own := Known{Key: Key(d.Identity, d.File, d.Name), File: d.File}
	if d.Identity != "" {
		for _, k := range known {
			if k.Open && k.Key != own.Key && (k.File == d.File || d.hasMovedFrom(k, there)) {
				return k, IsOpen
			}
		}
		return own, IsNew
	}
	for _, is := range []struct {
		verdict Verdict
		test    func(Known) bool
	}{
		{IsSame, func(k Known) bool { return k.File == d.File }},
		{HasMoved, func(k Known) bool { return d.hasMovedFrom(k, there) || k.File == "" && d.same(k) }},
		{IsSame, d.same},
	} {
		if i := slices.IndexFunc(known, is.test); i >= 0 {
			return known[i], is.verdict
		}
	}
	if len(known) > 0 {
		return own, IsUnclear
	}
	return own, IsNew
}

// same reports whether both have all of their instances at the same places.
func (d Described) same(k Known) bool { return sameSet(d.Places, k.Places) }

// hasMovedFrom reports whether the file of the other is gone, and both have all of
// their instances at the same places, or the folder has moved with those in it:
// they lie in the new one as they did in the old one, and there no more.
func (d Described) hasMovedFrom(k Known, there func(string) bool) bool {
	if k.File == "" || there(k.File) {
		return false
	}
	if d.same(k) {
		return true
	}
	for _, p := range k.Places {
		if _, inside := inFolder(k.File, p); inside && there(strings.TrimPrefix(p, localPlace)) {
			return false
		}
	}
	return sameSet(relative(d.File, d.Places), relative(k.File, k.Places))
}

func sameSet(a, b []string) bool {
	within := func(a, b []string) bool {
		return !slices.ContainsFunc(a, func(p string) bool { return !slices.Contains(b, p) })
	}
	return len(a) > 0 && within(a, b) && within(b, a)
}

// relative are places, those in the folder of the file as the file sees them.
func relative(file string, places []string) []string {
	out := slices.Clone(places)
	for i, p := range out {
		if rel, inside := inFolder(file, p); inside {
			out[i] = "beside the file:" + rel
		}
	}
	return out
}

// inFolder is a local place relative to the folder of a file that it is in.
func inFolder(file, place string) (rel string, inside bool) {
	dir, local := strings.CutPrefix(place, localPlace)
	rel, err := filepath.Rel(filepath.Dir(file), dir)
	return rel, local && err == nil && filepath.IsLocal(rel)
}

// FileOf is the path of the file that a key is made of, "" where it is made of
// something else.
func FileOf(key lockstep.DeploymentKey) string {
	made, spec := strings.CutPrefix(string(key), "spec:")
	end := strings.LastIndexByte(made, '#') // no name has one
	if !spec || end < 0 || !strings.HasPrefix(made, "/") {
		return ""
	}
	return made[:end]
}

// Unclear is a Source of which nobody knows yet whether its deployment is one
// that is known: nothing may be begun with it.
type Unclear struct {
	Source
	Why error
}

// Info has a key that no other deployment has.
func (u Unclear) Info() lockstep.DeploymentInfo {
	info := u.Source.Info()
	info.Key, info.Unclear = "unclear:"+info.Key, u.Why.Error()
	return info
}
