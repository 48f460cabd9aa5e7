package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lockstep"
)

// order is the lock order of all members of a deployment.
type order struct {
	levels [][]member
	edges  []lockstep.Precedence
	// cycle names the jobs of a cycle, the first one again at its end; nil if
	// there is none. With a cycle the last level holds all that it left over.
	cycle []string
	// absent are requests that name no job of the deployment.
	absent []absentee
}

// absentee is a job that some members ask to be locked before, and that is not
// there.
type absentee struct {
	ref lockstep.JobRef
	who []member
}

// class is a set of members that no lock order can tell apart: the same job of
// the same release with the same requests. The graph is drawn between classes,
// so that it stays small when a job has a thousand instances.
type class struct {
	job     lockstep.Job
	before  []lockstep.JobRef
	members []member
	next    []int // classes that are locked later
	prior   []int // classes that are locked earlier
	level   int   // -1 until it is placed
}

// orderOf finds the lock order that the requests of all jobs make, those
// without lock scripts included.
func orderOf(members []member, requests func(lockstep.Job) []lockstep.JobRef) order {
	classes := classesOf(members, requests)
	var o order
	for i := range classes {
		for _, ref := range classes[i].before {
			if !connect(classes, i, ref) {
				o.absent = addAbsent(o.absent, ref, classes[i].members)
			}
		}
	}
	o.edges = edgesOf(classes)
	depth, left := place(classes)
	if left {
		o.cycle = cycleIn(classes)
	}
	o.levels = make([][]member, depth)
	for _, m := range members {
		l := classOf(classes, m, requests).level
		if l < 0 {
			l = depth - 1
		}
		o.levels[l] = append(o.levels[l], m)
	}
	return o
}

func classKey(j lockstep.Job, before []lockstep.JobRef) string {
	return fmt.Sprintf("%s\x00%s\x00%v", j.Name, j.Release, before)
}

func sortedRefs(refs []lockstep.JobRef) []lockstep.JobRef {
	out := slices.Clone(refs)
	slices.SortFunc(out, func(a, b lockstep.JobRef) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Release, b.Release))
	})
	return slices.Compact(out)
}

// classesOf are the classes of the members, sorted by their keys.
func classesOf(members []member, requests func(lockstep.Job) []lockstep.JobRef) []class {
	byKey := map[string]*class{}
	var keys []string
	for _, m := range members {
		before := sortedRefs(requests(m.job))
		key := classKey(m.job, before)
		if byKey[key] == nil {
			byKey[key] = &class{job: m.job, before: before, level: -1}
			keys = append(keys, key)
		}
		byKey[key].members = append(byKey[key].members, m)
	}
	slices.Sort(keys)
	out := make([]class, len(keys))
	for i, key := range keys {
		out[i] = *byKey[key]
	}
	return out
}

// classOf finds the class of a member.
func classOf(classes []class, m member, requests func(lockstep.Job) []lockstep.JobRef) class {
	key := classKey(m.job, sortedRefs(requests(m.job)))
	i, _ := slices.BinarySearchFunc(classes, key, func(c class, key string) int {
		return cmp.Compare(classKey(c.job, c.before), key)
	})
	return classes[i]
}

// connect draws the edges of one request and reports whether it met any job.
func connect(classes []class, from int, ref lockstep.JobRef) (met bool) {
	for to := range classes {
		if !ref.Matches(classes[to].job) {
			continue
		}
		met = true
		if !slices.Contains(classes[from].next, to) {
			classes[from].next = append(classes[from].next, to)
			classes[to].prior = append(classes[to].prior, from)
		}
	}
	return met
}

func addAbsent(absent []absentee, ref lockstep.JobRef, who []member) []absentee {
	for i := range absent {
		if absent[i].ref == ref && absent[i].who[0].job.Name == who[0].job.Name {
			absent[i].who = append(absent[i].who, who...)
			return absent
		}
	}
	return append(absent, absentee{ref, slices.Clone(who)})
}

func edgesOf(classes []class) []lockstep.Precedence {
	var out []lockstep.Precedence
	for _, c := range classes {
		for _, to := range c.next {
			out = append(out, lockstep.Precedence{First: c.job.Name, Then: classes[to].job.Name})
		}
	}
	slices.SortFunc(out, func(a, b lockstep.Precedence) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Then, b.Then))
	})
	return slices.Compact(out)
}

// place gives each class its level: a level is everything not yet placed that
// waits for nothing unplaced. It returns the number of levels, one more for
// what a cycle leaves over.
func place(classes []class) (depth int, left bool) {
	placed := 0
	for placed < len(classes) {
		var ready []int
		for i, c := range classes {
			waits := slices.ContainsFunc(c.prior, func(p int) bool { return classes[p].level < 0 })
			if c.level < 0 && !waits {
				ready = append(ready, i)
			}
		}
		if len(ready) == 0 {
			return depth + 1, true
		}
		for _, i := range ready {
			classes[i].level = depth
		}
		placed += len(ready)
		depth++
	}
	return depth, false
}

// cycleIn names a cycle among the classes that could not be placed. Each of
// them waits for another such one, so walking back must meet itself.
func cycleIn(classes []class) []string {
	at := slices.IndexFunc(classes, func(c class) bool { return c.level < 0 })
	var walk []int
	for !slices.Contains(walk, at) {
		walk = append(walk, at)
		for _, p := range classes[at].prior {
			if classes[p].level < 0 {
				at = p
				break
			}
		}
	}
	loop := walk[slices.Index(walk, at):]
	slices.Reverse(loop)
	first := slices.Index(loop, slices.Min(loop))
	loop = slices.Concat(loop[first:], loop[:first+1])
	names := make([]string, len(loop))
	for i, c := range loop {
		names[i] = classes[c].job.Name
	}
	return names
}

// cycleError refuses a cyclic order.
func (o order) cycleError(during string) error {
	var who []string
	for i := range len(o.cycle) - 1 {
		who = append(who, fmt.Sprintf("%s asks to be locked before %s", o.cycle[i], o.cycle[i+1]))
	}
	return &lockstep.Error{
		Kind: lockstep.KindInvalid,
		Op:   "order locks for " + during,
		Err:  fmt.Errorf("job locking dependency graph is cyclic: %s", strings.Join(o.cycle, " -> ")),
		Hint: strings.Join(who, "; ") + ": take one of these requests out of the job's metadata or of the specification",
	}
}

// absentWarnings tell of requests that have no effect, and guess what was
// meant.
func (o order) absentWarnings(members []member, during string) []string {
	var out []string
	for _, a := range o.absent {
		var names []string
		for _, m := range a.who {
			names = append(names, string(m.instance.Name()))
		}
		whom := a.ref.Job
		if a.ref.Release != "" {
			whom += " of release " + a.ref.Release
		}
		text := fmt.Sprintf("job %s on %s asks to be locked before %s during %s, but the deployment has no such job: no order is applied",
			a.who[0].job.Name, on(names), whom, during)
		if guess := guessOf(a.ref, members); guess != "" {
			text += "; did you mean " + guess + "?"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// guessOf is the job that was probably meant, or "".
func guessOf(ref lockstep.JobRef, members []member) string {
	best, distance := "", 3
	for _, m := range members {
		if m.job.Name == ref.Job {
			if m.job.Release == "" {
				return fmt.Sprintf("%s of no known release", ref.Job)
			}
			return fmt.Sprintf("%s of release %s", ref.Job, m.job.Release)
		}
		d := editDistance(strings.ToLower(m.job.Name), strings.ToLower(ref.Job))
		if d < distance && d < len(ref.Job) || d == distance && best != "" && m.job.Name < best {
			best, distance = m.job.Name, d
		}
	}
	return best
}

// editDistance counts the characters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
