package discover

import (
	"fmt"
	"path"
	"strings"

	"lockstep"
)

// layout is a script location taken apart, for find:
//
//	/var/vcap/jobs/{job}/bin/bbr
//	base           job  rest
//
// A job's folder may have more in its name: "app-{job}-hooks".
type layout struct {
	base string // folder of the job folders
	head string // what stands before a job's name in a path that find prints
	// pattern and hidden are patterns of find's -name: folders of jobs, and
	// those of them that are passed over because the job begins with a dot.
	pattern, hidden string
	suffix          string // what follows the job's name in its folder's name
	rest            string // the way from a job's folder to its scripts, "" or "/…"
}

const placeholder = "{job}"

// newLayout takes apart the location of scripts.
func newLayout(l lockstep.Locations) (layout, error) {
	before, after, ok := strings.Cut(l.Scripts, placeholder)
	if !ok || strings.Contains(after, placeholder) || strings.HasPrefix(l.Scripts, "-") || strings.ContainsRune(l.Scripts, 0) {
		return layout{}, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "look for scripts",
			Err:  fmt.Errorf("script location %q must have %s in it once, and must not begin with -", l.Scripts, placeholder),
			Hint: "write for example: script_location: " + lockstep.DefaultLocations().Scripts,
		}
	}
	dir, prefix := path.Split(before)
	w := layout{base: path.Clean(dir)}
	if dir == "" {
		w.base = "."
	}
	w.head = strings.TrimSuffix(w.base, "/") + "/" + prefix
	w.suffix = after
	if i := strings.IndexByte(after, '/'); i >= 0 {
		w.suffix, w.rest = after[:i], strings.TrimRight(after[i:], "/")
	}
	w.pattern = escape(prefix) + "*" + escape(w.suffix)
	w.hidden = escape(prefix) + ".*"
	return w, nil
}

// escape makes a text match itself as a pattern of find's -name.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// tail is what follows a job's name in the path of its scripts' folder, as
// find prints it.
func (w layout) tail() string { return w.suffix + w.rest + "/." }

// split takes apart a path that find printed: the folder of a job's scripts,
// where name is "", or a file in it.
func (w layout) split(printed string) (job, name string, ok bool) {
	below, ok := strings.CutPrefix(printed, w.head)
	if !ok {
		return "", "", false
	}
	if job, ok = strings.CutSuffix(below, w.tail()); ok && !strings.Contains(job, "/") {
		return job, "", true
	}
	i := strings.LastIndexByte(below, '/')
	if i < 0 {
		return "", "", false
	}
	job, ok = strings.CutSuffix(below[:i], w.tail())
	return job, below[i+1:], ok && !strings.Contains(job, "/")
}
