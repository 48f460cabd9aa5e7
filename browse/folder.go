package browse

import (
	"iter"
	"slices"
	"strings"

	"lockstep"
)

// Child is what is in a folder.
type Child struct {
	Name  string
	Entry lockstep.Entry
	// Files and Bytes are those of all that is below a folder; of anything else they
	// are 1 and its size.
	Files int
	Bytes int64
}

// Dir reports whether it is a folder.
func (c Child) Dir() bool { return c.Entry.Type == lockstep.EntryDir }

// Folder is what a list has at a path, nil if nothing, and what is in it: folders
// first, then by name. The path "" is the artifact's root.
func Folder(list iter.Seq2[lockstep.Entry, error], path string) (*lockstep.Entry, []Child, error) {
	var at *lockstep.Entry
	children := map[string]*Child{}
	for e, err := range list {
		if err != nil {
			return nil, nil, err
		}
		below := e.Path
		switch {
		case e.Path == path || e.Path == "." && path == "":
			at = &e
			continue
		case path != "":
			var inside bool
			if below, inside = strings.CutPrefix(e.Path, path+"/"); !inside {
				continue
			}
		}
		if at == nil { // a folder that only paths of others name
			at = &lockstep.Entry{Path: path, Type: lockstep.EntryDir}
		}
		name, rest, deeper := strings.Cut(below, "/")
		c := children[name]
		if c == nil {
			c = &Child{Name: name, Entry: lockstep.Entry{Path: strings.TrimSuffix(e.Path, "/"+rest), Type: lockstep.EntryDir}}
			children[name] = c
		}
		if !deeper {
			c.Entry = e
		}
		if e.Type != lockstep.EntryDir {
			c.Files++
			c.Bytes += e.Size
		}
	}
	return at, sorted(children), nil
}

func sorted(children map[string]*Child) []Child {
	var out []Child
	for _, c := range children {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Child) int {
		switch {
		case a.Dir() && !b.Dir():
			return -1
		case b.Dir() && !a.Dir():
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}
