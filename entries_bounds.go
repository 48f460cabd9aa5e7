package lockstep

import (
	"fmt"
	"strings"
)

// Limits of an artifact: they bound what an instance can make an orchestrator keep.
const (
	// MaxEntries is how many entries an artifact may have, the folders included that
	// only paths of others name.
	MaxEntries = 1_000_000
	// MaxNameBytes is how many bytes its paths and link targets may have together,
	// as they come and in canonical form: there a hard link has the first name of its
	// file as target, which may be much longer than the one that it came with.
	MaxNameBytes = 256 << 20
	// MaxDepth is how many names a path may have, one below the other: as many as the
	// longest path that Linux takes in one call, of PATH_MAX, 4096 bytes. Below that a
	// program only comes folder by folder.
	MaxDepth = 2048
)

// NameBytes are those of the paths and link targets of entries.
type NameBytes int64

// Add counts an entry, and refuses it where they are more than limit with it.
func (n *NameBytes) Add(e Entry, limit int64) error {
	*n += NameBytes(len(e.Path) + len(e.Link))
	if int64(*n) <= limit {
		return nil
	}
	return &Error{
		Kind: KindRefused, Op: fmt.Sprintf("artifact entry %.100q", e.Path),
		Err:  fmt.Errorf("with it the names of the artifact, and what each link points to, have more than %d MiB", limit>>20),
		Hint: "let the job's backup script pack its small files into one archive",
	}
}

// Places counts the entries of a list that are not folders, and all folders that
// something is in, also those without an entry of their own: each is one in a file system.
type Places struct {
	n    int
	last string
}

// Add counts an entry, which comes behind the last one in the order of a list. It
// refuses it where there are more than limit with it.
func (p *Places) Add(e Entry, limit int) error {
	same := 0
	for same < min(len(p.last), len(e.Path)) && p.last[same] == e.Path[same] {
		same++
	}
	// What begins with a folder's path and a slash stands together.
	p.n += strings.Count(e.Path[same:], "/")
	p.last = e.Path
	if e.Type != EntryDir {
		p.n++
	}
	if p.n <= limit {
		return nil
	}
	return &Error{
		Kind: KindRefused, Op: fmt.Sprintf("artifact entry %.100q", e.Path),
		Err:  fmt.Errorf("with it the artifact has more than %d entries and folders that their paths name", limit),
		Hint: "let the job's backup script pack its small files into one archive",
	}
}
