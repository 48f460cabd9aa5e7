package lockstep

import (
	"cmp"
	"fmt"
)

// Difference is one entry in which two lists differ.
type Difference struct {
	Path string
	// What is "missing", "unexpected", or the field that differs: "content",
	// "size", "type", "mode", "owner", "mtime", "link".
	What string
}

// String is e.g. `"a/b": content differs`.
func (d Difference) String() string {
	switch d.What {
	case "missing", "unexpected":
		return fmt.Sprintf("%q: %s", d.Path, d.What)
	}
	return fmt.Sprintf("%q: %s differs", d.Path, d.What)
}

// Differences lists, by path, in what got differs from l, which is what was
// expected. With ignoreOwner, uid and gid do not count: where the launcher is
// not root it cannot give files away.
func (l EntryList) Differences(got EntryList, ignoreOwner bool) []Difference {
	var diffs []Difference
	i, j := 0, 0
	for i < len(l) || j < len(got) {
		c := 0
		switch {
		case i == len(l):
			c = 1
		case j == len(got):
			c = -1
		default:
			c = cmp.Compare(l[i].Path, got[j].Path)
		}
		switch {
		case c < 0:
			diffs = append(diffs, Difference{l[i].Path, "missing"})
			i++
		case c > 0:
			diffs = append(diffs, Difference{got[j].Path, "unexpected"})
			j++
		default:
			if what := l[i].differs(got[j], ignoreOwner); what != "" {
				diffs = append(diffs, Difference{l[i].Path, what})
			}
			i++
			j++
		}
	}
	return diffs
}

func (e Entry) differs(o Entry, ignoreOwner bool) string {
	switch {
	case e.Type != o.Type:
		return "type"
	case e.Size != o.Size:
		return "size"
	case e.Sum != o.Sum:
		return "content"
	case e.Link != o.Link:
		return "link"
	case e.Mode != o.Mode:
		return "mode"
	case e.MTime != o.MTime:
		return "mtime"
	case !ignoreOwner && (e.UID != o.UID || e.GID != o.GID):
		return "owner"
	}
	return ""
}
