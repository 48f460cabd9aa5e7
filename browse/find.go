package browse

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"lockstep"
)

// Pattern is what is looked for: a name, or a path if there is a slash in it. "*" and
// "?" stand for what is not a slash, "[a-z]" for one of these.
type Pattern struct {
	text   string
	folded bool
}

// ParsePattern reads a pattern; with fold, upper and lower case are the same.
func ParsePattern(text string, fold bool) (Pattern, error) {
	if fold {
		text = strings.ToLower(text)
	}
	if _, err := path.Match(text, ""); err != nil || text == "" {
		return Pattern{}, &lockstep.Error{
			Kind: lockstep.KindUsage, Op: fmt.Sprintf("find %q", text), Err: path.ErrBadPattern,
			Hint: "write a name, such as dump.sql or '*.conf', or a path with a slash in it; a \\ before [ * ? takes it as it is",
		}
	}
	return Pattern{strings.Trim(text, "/"), fold}, nil
}

// Matches reports whether a path of an artifact is looked for. A pattern with a slash
// is that of a path in the artifact, with or without the artifact's name before it.
func (p Pattern) Matches(at Place) bool {
	name, full := at.Path, at.String()
	if !strings.Contains(p.text, "/") {
		name, full = path.Base(at.Path), ""
	}
	for _, s := range []string{name, full} {
		if p.folded {
			s = strings.ToLower(s)
		}
		if ok, err := path.Match(p.text, s); ok && err == nil {
			return true
		}
	}
	return false
}

// Version is a file of one content, and the backups that have it.
type Version struct {
	Artifact string         `json:"artifact"`
	Entry    lockstep.Entry `json:"entry"`
	// Backups have it, in the order in which they were given.
	Backups []lockstep.BackupID `json:"backups"`
}

// Place is where it is.
func (v Version) Place() Place { return Place{v.Artifact, v.Entry.Path} }

// Found is what a search found.
type Found struct {
	// Versions are sorted by artifact and path, those of the first backup first.
	Versions []Version `json:"versions"`
	// NotSearched are backups of other programs, which record no entry lists.
	NotSearched []lockstep.BackupID `json:"not_searched"`
}

// version is what tells versions of a file apart: content, not mode, owner and time.
type version struct {
	artifact, path, link string
	kind                 lockstep.EntryType
	sum                  [32]byte
	size                 int64
}

// search is Find under way.
type search struct {
	pattern Pattern
	found   Found
	at      map[version]int
	// lists are what was found in a list of that artifact and digest: most backups
	// have most lists in common with the one before.
	lists map[[2]string][]int
}

// Find looks for files in backups, which are commonly given newest first. Where
// several have the same list it is read once.
func Find(ctx context.Context, from Lists, backups []lockstep.Backup, p Pattern) (Found, error) {
	s := &search{pattern: p, at: map[version]int{}, lists: map[[2]string][]int{}}
	s.found.NotSearched = []lockstep.BackupID{}
	for _, b := range backups {
		for _, a := range b.Artifacts {
			if a.Digest == "" {
				if !slices.Contains(s.found.NotSearched, b.ID) {
					s.found.NotSearched = append(s.found.NotSearched, b.ID)
				}
				continue
			}
			if err := s.artifact(ctx, from, b.ID, a); err != nil {
				return Found{}, fmt.Errorf("backup %s: %w", b.ID, err)
			}
		}
	}
	slices.SortStableFunc(s.found.Versions, func(a, b Version) int { return strings.Compare(a.Place().String(), b.Place().String()) })
	return s.found, nil
}

func (s *search) artifact(ctx context.Context, from Lists, id lockstep.BackupID, a lockstep.Artifact) error {
	list := [2]string{a.Name, a.Digest}
	known, ok := s.lists[list]
	if !ok {
		for e, err := range from.Entries(ctx, id, a.Name) {
			if err != nil {
				return err
			}
			if e.Path != "." && s.pattern.Matches(Place{a.Name, e.Path}) {
				known = append(known, s.version(a.Name, e))
			}
		}
		s.lists[list] = known
	}
	for _, i := range known {
		s.found.Versions[i].Backups = append(s.found.Versions[i].Backups, id)
	}
	return nil
}

// version is the number of a version.
func (s *search) version(artifact string, e lockstep.Entry) int {
	key := version{artifact, e.Path, e.Link, e.Type, e.Sum, e.Size}
	i, ok := s.at[key]
	if !ok {
		i = len(s.found.Versions)
		s.at[key], s.found.Versions = i, append(s.found.Versions, Version{Artifact: artifact, Entry: e})
	}
	return i
}
