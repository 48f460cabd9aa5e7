// Package browse looks into backups: which files are in them, in which of them a file
// is, and what changed between two. It reads the entry lists that were recorded when
// the artifacts were proven, never the artifacts.
package browse

import (
	"context"
	"iter"
	"strings"

	"lockstep"
)

// Lists is what the entry lists are read from; lockstep.Service is one.
type Lists interface {
	Entries(ctx context.Context, id lockstep.BackupID, name string) iter.Seq2[lockstep.Entry, error]
}

// Place is an artifact, or a path in one.
type Place struct {
	Artifact string
	// Path is "" for the whole artifact.
	Path string
}

// ParsePlace reads ARTIFACT or ARTIFACT/PATH. Slashes around it mean nothing.
func ParsePlace(s string) Place {
	artifact, path, _ := strings.Cut(strings.Trim(s, "/"), "/")
	return Place{artifact, path}
}

// String is what ParsePlace reads.
func (p Place) String() string {
	if p.Path == "" {
		return p.Artifact
	}
	return p.Artifact + "/" + p.Path
}

// Has reports whether a path of the artifact is the place, or below it.
func (p Place) Has(path string) bool {
	return p.Path == "" || path == p.Path || strings.HasPrefix(path, p.Path+"/")
}

// Below yields what of an artifact is at a place, and below it, in canonical order.
// An error is the last that it yields.
func Below(ctx context.Context, from Lists, id lockstep.BackupID, at Place) iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		for e, err := range from.Entries(ctx, id, at.Artifact) {
			if err == nil && !at.Has(e.Path) {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
