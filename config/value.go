package config

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"lockstep"
)

// leaf is what all values of the file have: the value, where it stands, and
// whether it is there at all.
type leaf[T any] struct {
	value T
	at    position
	set   bool
}

func (l *leaf[T]) put(n *yaml.Node, value T) { *l = leaf[T]{value, positionOf(n), true} }

// or is the value, or what holds where the file does not say.
func (l leaf[T]) or(otherwise T) T {
	if l.set {
		return l.value
	}
	return otherwise
}

// text is a text; a whole number is taken as it is written.
type text struct{ leaf[string] }

func (t *text) read(d *decoder, n *yaml.Node, c crumb) {
	value, at := d.scalar(n, c, "text")
	if at == nil {
		return
	}
	switch {
	case at.ShortTag() != "!!str" && at.ShortTag() != "!!int":
		d.wrong(at, c, "text (put it in quotes)")
	case value == "":
		d.problem(positionOf(n), "%s is empty%s", c, c.instead())
	case strings.ContainsRune(value, 0):
		d.problem(positionOf(n), "%s has a NUL character in it", c)
	default:
		t.put(n, value)
	}
}

// path is the path of a file or folder on this machine. It becomes absolute;
// ~/ is the home folder. The words "none" and "off" of some keys stay.
type path struct{ leaf[string] }

func (p *path) read(d *decoder, n *yaml.Node, c crumb) {
	var t text
	if t.read(d, n, c); !t.set {
		return
	}
	value := t.value
	if rest, ok := strings.CutPrefix(value, "~/"); ok {
		home := d.env("HOME")
		if !filepath.IsAbs(home) {
			d.problem(t.at, "%s begins with ~/, and HOME is not set", c)
			return
		}
		value = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(value) {
		value = filepath.Join(d.dir, value)
	}
	p.put(n, filepath.Clean(value))
}

// pathOrNone is a path, or "none".
type pathOrNone struct{ leaf[string] }

func (p *pathOrNone) read(d *decoder, n *yaml.Node, c crumb) {
	if n.Kind == yaml.ScalarNode && n.Value == "none" {
		p.put(n, "none")
		return
	}
	var named path
	named.read(d, n, c)
	p.leaf = named.leaf
}

// paths is one path or a list of them.
type paths struct{ leaf[[]string] }

func (p *paths) read(d *decoder, n *yaml.Node, c crumb) {
	var list list[path]
	if n.Kind == yaml.SequenceNode || n.Kind == yaml.AliasNode && n.Alias != nil && n.Alias.Kind == yaml.SequenceNode {
		list.read(d, n, c)
	} else {
		var one path
		one.read(d, n, c)
		list.value = append(list.value, one)
	}
	var values []string
	for _, one := range list.value {
		if one.set {
			values = append(values, one.value)
		}
	}
	p.put(n, values)
}

// toggle is true or false.
type toggle struct{ leaf[bool] }

func (f *toggle) read(d *decoder, n *yaml.Node, c crumb) {
	value, at := d.scalar(n, c, "true or false")
	if at == nil {
		return
	}
	switch strings.ToLower(value) {
	case "true":
		f.put(n, true)
	case "false":
		f.put(n, false)
	default:
		d.wrong(at, c, "true or false")
	}
}

// count is a whole number above 0.
type count struct{ leaf[int] }

func (k *count) read(d *decoder, n *yaml.Node, c crumb) {
	value, at := d.scalar(n, c, "a whole number above 0")
	if at == nil {
		return
	}
	number, err := strconv.Atoi(value)
	if err != nil || number < 1 || number > 1<<30 {
		d.wrong(at, c, "a whole number above 0")
		return
	}
	k.put(n, number)
}

// span is a positive duration.
type span struct{ leaf[time.Duration] }

// longest is more than any deadline may be; it catches slips of the pen.
const longest = 30 * 24 * time.Hour

func (s *span) read(d *decoder, n *yaml.Node, c crumb) {
	const want = "a duration with a unit, as 90s, 15m or 1h30m, up to 720h"
	value, at := d.scalar(n, c, want)
	if at == nil {
		return
	}
	duration, err := time.ParseDuration(value)
	if err != nil || duration <= 0 || duration > longest {
		d.wrong(at, c, want)
		return
	}
	s.put(n, duration)
}

// spanOrOff is a positive duration, or "off", which is 0.
type spanOrOff struct{ leaf[time.Duration] }

func (s *spanOrOff) read(d *decoder, n *yaml.Node, c crumb) {
	if n.Kind == yaml.ScalarNode && n.Value == "off" {
		s.put(n, 0)
		return
	}
	var timed span
	timed.read(d, n, c)
	s.leaf = timed.leaf
}

// failure is what on_restore_failure may say.
type failure struct{ leaf[OnRestoreFailure] }

func (f *failure) read(d *decoder, n *yaml.Node, c crumb) {
	value, at := d.scalar(n, c, "unlock or hold")
	if at == nil {
		return
	}
	switch choice := OnRestoreFailure(value); choice {
	case UnlockOnRestoreFailure, HoldOnRestoreFailure:
		f.put(n, choice)
	default:
		d.wrong(at, c, "unlock or hold")
	}
}

// jobRef is a job's name, or {job: NAME, release: NAME}.
type jobRef struct{ leaf[lockstep.JobRef] }

type fileJobRef struct {
	Job     text `key:"job" example:"postgres" required:"true" doc:"name of the job"`
	Release text `key:"release" example:"postgres" doc:"release that the job comes from; any unless given"`
}

func (r *jobRef) read(d *decoder, n *yaml.Node, c crumb) {
	var parts fileJobRef
	if n.Kind == yaml.MappingNode || n.Kind == yaml.AliasNode && n.Alias != nil && n.Alias.Kind == yaml.MappingNode {
		d.section(n, &parts, c)
	} else {
		parts.Job.read(d, n, c)
	}
	if !parts.Job.set {
		return
	}
	d.name("job", parts.Job)
	d.name("release", parts.Release)
	r.put(n, lockstep.JobRef{Job: parts.Job.value, Release: parts.Release.value})
}

// name notes a name that breaks the grammar of names.
func (d *decoder) name(what string, t text) {
	if !t.set {
		return
	}
	if err := lockstep.CheckName(what, t.value); err != nil {
		d.problem(t.at, "%v", err)
	}
}
