package lockstep

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Trouble is something that went wrong in a run, with what to do about it.
type Trouble struct {
	Message
	// Step is "" where it was outside of any step.
	Step StepID `json:"step,omitempty"`
	// Tries says how often the step ended in this way.
	Tries int       `json:"tries,omitempty"`
	At    time.Time `json:"at,omitzero"`
	// Output says that the step is a script, whose output may tell more.
	Output bool `json:"output,omitempty"`

	held bool // it says what is still locked
	// was is what remains to be said of that when it has been settled.
	was Message
	// silent is the instance that did not answer when it was to be unlocked,
	// collected or cleaned.
	silent InstanceID
}

// Troubles are what went wrong: first what ended the run early, then steps in
// the order in which they failed, then what that means for the backup or the
// system, at last what is still locked. The first is the cause more often than not.
func (r *Run) Troubles() []Trouble {
	var out []Trouble
	for _, f := range r.Failures {
		out = append(out, Trouble{Message: f.message()})
	}
	if len(r.Failures) == 0 {
		out = append(out, r.brokenTroubles()...)
	}
	out = append(out, r.badTries()...)
	if r.Ending == nil {
		return out
	}
	out = slices.DeleteFunc(out, func(t Trouble) bool { // told with what is still locked, and once
		return t.silent != "" && r.silentTries(t.silent) > 0
	})
	if m, ok := r.worth(); ok {
		out = append(out, Trouble{Message: m})
	}
	if m, ok := r.heldMessage(); ok {
		out = append(out, Trouble{Message: m, held: true, was: r.silentMessage()})
	}
	return out
}

// brokenTroubles say what cut the run short other than a step. Of a lease that ran
// out on an instance that is told of as held they say nothing.
func (r *Run) brokenTroubles() []Trouble {
	if m, ok := r.cutShort(); ok {
		return []Trouble{{Message: m}}
	}
	var out []Trouble
	for _, id := range r.Leases {
		if r.Ending == nil || !r.heldOn(id) {
			out = append(out, Trouble{Message: r.leaseMessage(id)})
		}
	}
	return out
}

// message is a failure as people are told of it. One from a journal of an older
// program has only its chain.
func (f Failure) message() Message {
	m := Message{What: f.What, Why: f.Why, Hint: f.Hint, Chain: f.Error}
	if m.What == "" {
		m.What = f.Error
	}
	if m.Chain == m.String() {
		m.Chain = ""
	}
	return m
}

// badTries are the tries that did not end well, in the order of their ends; tries
// of one step that ended alike are one.
func (r *Run) badTries() []Trouble {
	if r.Plan == nil {
		return nil
	}
	var out []Trouble
	for _, w := range r.Plan.Waves {
		for _, s := range w.Steps {
			out = append(out, r.badTriesOf(s)...)
		}
	}
	slices.SortStableFunc(out, func(a, b Trouble) int { return a.At.Compare(b.At) })
	return out
}

func (r *Run) badTriesOf(s Step) []Trouble {
	rec := r.Steps[s.ID]
	if rec == nil {
		return nil
	}
	tries := rec.Tries
	if s.Stage != StageUnlock && len(tries) > 0 {
		tries = tries[len(tries)-1:] // of what is not an unlock only the last try counts
	}
	var out []Trouble
	for k := range tries {
		t := &tries[k]
		if t.Running() || t.Outcome.OK() {
			continue
		}
		m := t.Message(s.ID)
		if m.Hint == "" && s.Script != nil {
			m.Hint = fmt.Sprintf("`lockstep runs show %s --output %s` shows all that it printed", r.ID, s.ID)
		}
		if n := len(out) - 1; n >= 0 && out[n].Message == m {
			out[n].Tries++
			continue
		}
		trouble := Trouble{Message: m, Step: s.ID, Tries: 1, At: t.FinishedAt, Output: s.Script != nil}
		if t.Outcome.Kind == OutcomeAbandoned && !t.Displaced && (s.Stage == StageUnlock || s.Stage == StageCollect || s.Stage == StageClean) {
			trouble.silent = s.Instance
		}
		out = append(out, trouble)
	}
	return out
}

// Message is a try of that step, which did not end well, as people are told of
// it.
func (t *Try) Message(step StepID) Message {
	m := Message{What: fmt.Sprintf("%s failed", step), Why: t.Cause(), Hint: t.Hint}
	if t.Why != "" {
		m.Chain = t.Error
	}
	return m
}

// Cause says why a try did not end well: in our words, and in those that its
// script said last.
func (t *Try) Cause() string {
	why := cmp.Or(t.Why, t.Error, t.Outcome.String())
	switch {
	case t.Running():
		return "still running"
	case t.Said == "":
		return why
	case strings.Contains(t.Said, "\n"):
		return why + "; at last it said:\n" + t.Said
	}
	return fmt.Sprintf("%s (%s)", t.Said, why)
}

// worth says what a run that failed, or a suspect backup, means for the data
// where no step says it.
func (r *Run) worth() (Message, bool) {
	name := r.Opened.Deployment
	switch {
	case r.Ending.Data == DataPartial && !r.Opened.Policy.ContractWords:
		return Message{
			What: "the system is half restored", Why: "not every job that was to be restored was; until that is settled, its backups are suspect",
			Hint: fmt.Sprintf("`lockstep restore %s %s` again; if it is well as it is, `lockstep runs ack %s --restored --reason …`", name, r.BackupID(), r.ID),
		}, true
	case r.Opened.Operation != OperationBackup || r.Plan == nil:
	case len(r.leftNothing()) > 0:
		return r.emptyMessage(), true
	case len(r.Suspect) > 0:
		return Message{
			What: fmt.Sprintf("backup %s is kept, but suspect", r.BackupID()), Why: strings.Join(r.Suspect, "\n"),
			Hint: fmt.Sprintf("look at it on the instances; if it is meant, `lockstep backup %s --accept-change` makes a backup that counts", name),
		}, true
	}
	return Message{}, false
}

// emptyMessage says which backup scripts left nothing.
func (r *Run) emptyMessage() Message {
	var jobs []string
	empty := r.leftNothing()
	for _, s := range empty {
		jobs = append(jobs, fmt.Sprintf("the backup script of %s left nothing", s.Slot))
	}
	first := empty[0]
	script := slices.IndexFunc(r.Plan.Steps(StageWork), func(s Step) bool { return s.Slot == first.Slot })
	hint := ""
	if script >= 0 {
		hint = fmt.Sprintf("`lockstep runs show %s --output %s` shows what it said; ", r.ID, r.Plan.Steps(StageWork)[script].ID)
	}
	return Message{
		What: fmt.Sprintf("backup %s is not complete", r.BackupID()), Why: strings.Join(jobs, "\n"),
		Hint: hint + fmt.Sprintf("if nothing is right: may_be_empty: true for job %s in the configuration", first.Job()),
	}
}

// heldMessage says what the run left locked, and what settles it.
func (r *Run) heldMessage() (Message, bool) {
	if len(r.Ending.Held) == 0 {
		return Message{}, false
	}
	var names []string
	for _, s := range r.Ending.Held {
		names = append(names, s.String())
	}
	flag := ""
	if r.Opened.Operation == OperationRestore {
		flag = " --restore"
	}
	what := "still locked: "
	why, maybe := r.heldWhy()
	switch {
	case r.Plan != nil && r.holds():
		why = "a failed restore is left locked (on_restore_failure: hold)"
	case maybe:
		what = "may still be locked: "
	}
	return Message{
		What: what + strings.Join(names, ", "), Why: why,
		Hint: fmt.Sprintf("`lockstep cleanup %s%s` tries to unlock again; if you have unlocked by hand: `lockstep runs ack %s --job %s --reason …`",
			r.Opened.Deployment, flag, r.ID, r.Ending.Held[0]),
	}, true
}

// canceledBy says who canceled the run, if anybody is known.
func (r *Run) canceledBy() string {
	if r.CanceledBy == "" {
		return ""
	}
	return "by " + r.CanceledBy
}
