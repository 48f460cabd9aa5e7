package lockstep

import "fmt"

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

// Differs is the field in which o differs from e, which is what was expected of the
// same path, as in Difference.What; "" is none. With ignoreOwner, uid and gid do not
// count: where the launcher is not root it cannot give files away.
func (e Entry) Differs(o Entry, ignoreOwner bool) string {
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
