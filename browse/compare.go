package browse

import (
	"context"
	"iter"

	"lockstep"
)

// Kind says how a file of one backup is in another.
type Kind string

// The kinds.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Change is one file, folder or link that is not the same in two backups.
type Change struct {
	Kind     Kind   `json:"change"`
	Artifact string `json:"artifact"`
	// What is the first property that differs, as lockstep.Difference has it, of one
	// that changed.
	What string `json:"differs,omitempty"`
	// Before and After are what the two have; one that it does not have is nil.
	Before *lockstep.Entry `json:"before,omitempty"`
	After  *lockstep.Entry `json:"after,omitempty"`
}

// Entry is what there is of it, the later one first.
func (c Change) Entry() lockstep.Entry {
	if c.After != nil {
		return *c.After
	}
	return *c.Before
}

// Place is where it is.
func (c Change) Place() Place { return Place{c.Artifact, c.Entry().Path} }

// Summary counts changes.
type Summary struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
	// AddedBytes and RemovedBytes are the sizes of files that were added or changed,
	// as they are now, and of those that were removed or changed, as they were.
	AddedBytes   int64 `json:"added_bytes"`
	RemovedBytes int64 `json:"removed_bytes"`
}

// Add counts one more.
func (s *Summary) Add(c Change) {
	switch c.Kind {
	case Added:
		s.Added++
	case Removed:
		s.Removed++
	case Changed:
		s.Changed++
	}
	if c.Kind == Changed && c.What != "content" && c.What != "size" && c.What != "type" {
		return
	}
	if c.After != nil {
		s.AddedBytes += c.After.Size
	}
	if c.Before != nil {
		s.RemovedBytes += c.Before.Size
	}
}

// Comparison is of two backups: what came to be between A and B.
type Comparison struct {
	From Lists
	A, B lockstep.Backup
	// At narrows it; the zero Place is all artifacts.
	At Place
	// Metadata: a file of which nothing but mode, owner or time differs counts too.
	Metadata bool
}

// Changes yields what is not the same, artifact by artifact, by path. Lists that have
// one digest are not read. An error is the last that it yields: one of a place that
// neither backup has is KindNotFound.
func (c Comparison) Changes(ctx context.Context) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		names := c.artifacts()
		if len(names) == 0 && c.At.Artifact != "" {
			yield(Change{}, lockstep.NoArtifact(c.B.ID, c.At.Artifact))
			return
		}
		for _, name := range names {
			for change, err := range c.artifact(ctx, name) {
				if !yield(change, err) || err != nil {
					return
				}
			}
		}
	}
}

// artifacts are the names to compare: those of B, then those that only A has.
func (c Comparison) artifacts() []string {
	var names []string
	for _, a := range c.B.Artifacts {
		names = append(names, a.Name)
	}
	for _, a := range c.A.Artifacts {
		if _, ok := c.B.Named(a.Name); !ok {
			names = append(names, a.Name)
		}
	}
	if c.At.Artifact == "" {
		return names
	}
	for _, n := range names {
		if n == c.At.Artifact {
			return []string{n}
		}
	}
	return nil
}

func (c Comparison) artifact(ctx context.Context, name string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		was, inA := c.A.Named(name)
		is, inB := c.B.Named(name)
		if inA && inB && was.Digest == is.Digest && is.Digest != "" {
			return
		}
		at := Place{name, c.At.Path}
		for p, err := range lockstep.EntryPairs(c.list(ctx, c.A.ID, at, inA), c.list(ctx, c.B.ID, at, inB)) {
			if err != nil {
				yield(Change{}, err)
				return
			}
			change, differs := c.judge(name, p)
			if differs && !yield(change, nil) {
				return
			}
		}
	}
}

func (c Comparison) list(ctx context.Context, id lockstep.BackupID, at Place, has bool) iter.Seq2[lockstep.Entry, error] {
	if !has {
		return func(func(lockstep.Entry, error) bool) {}
	}
	return Below(ctx, c.From, id, at)
}

// judge says how one path changed, if it did.
func (c Comparison) judge(artifact string, p lockstep.EntryPair) (Change, bool) {
	change := Change{Artifact: artifact, Before: p.A, After: p.B}
	switch {
	case p.A == nil:
		change.Kind = Added
		return change, true
	case p.B == nil:
		change.Kind = Removed
		return change, true
	}
	change.Kind, change.What = Changed, p.A.Differs(*p.B, false)
	switch change.What {
	case "":
		return change, false
	case "mode", "mtime", "owner":
		return change, c.Metadata
	}
	return change, true
}
