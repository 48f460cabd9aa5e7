package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lockstep"
	"lockstep/audit"
	"lockstep/journal/sqlite"
	"lockstep/repository/dir"
	"lockstep/repository/repositorytest"
)

// tryOf names one try of a script, as it is written on an instance: the step's
// name is escaped there.
type tryOf struct {
	run, step string
	attempt   string
}

// story is what the journal says of the runs that were not judged yet.
type story struct {
	runs     []lockstep.RunSummary
	events   map[lockstep.RunID][]lockstep.Event
	intended map[tryOf]bool
	well     map[tryOf]bool // said to have ended with exit 0
}

// judge compares what really happened on the instances with what the journal
// says and with what the killed processes had said. It returns what is wrong.
func (w *world) judge(acks []said, server bool) ([]string, error) {
	s, err := w.story()
	if err != nil {
		return nil, err
	}
	var wrong []string
	for _, run := range s.runs {
		if run.State == lockstep.RunRunning || run.Abandoned {
			wrong = append(wrong, fmt.Sprintf("run %s has not ended", run.ID))
		}
		for _, v := range audit.Check(s.events[run.ID], nil) {
			wrong = append(wrong, fmt.Sprintf("audit of run %s: %s", run.ID, v))
		}
		if server && !w.wasTold(run.ID) {
			wrong = append(wrong, fmt.Sprintf("nobody was told of the end of run %s", run.ID))
		}
	}
	begun, ended := map[tryOf]int{}, map[tryOf]bool{}
	for _, i := range w.instances {
		lines, err := i.truth()
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, read(lines, begun, ended)...)
		left, err := i.left()
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, left...)
	}
	wrong = append(wrong, s.compare(begun, ended)...)
	wrong = append(wrong, s.lost(acks)...)
	broken, err := w.backups()
	return append(wrong, broken...), err
}

// story reads what is new in the journal.
func (w *world) story() (*story, error) {
	ctx := context.Background()
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: filepath.Join(w.dir, "state")})
	if err != nil {
		return nil, err
	}
	defer j.Close()
	runs, err := j.Runs(ctx, lockstep.RunFilter{Limit: 50})
	if err != nil {
		return nil, err
	}
	lost, err := j.Lost(ctx, "")
	if err != nil || len(lost) > 0 { // a killed process loses nothing that was committed
		return nil, errors.Join(err, fmt.Errorf("the journal says that it has lost %+v", lost))
	}
	s := &story{events: map[lockstep.RunID][]lockstep.Event{}, intended: map[tryOf]bool{}, well: map[tryOf]bool{}}
	for _, run := range runs {
		if w.known[string(run.ID)] {
			continue
		}
		w.known[string(run.ID)] = true
		s.runs = append(s.runs, run)
		events, err := j.Events(ctx, run.ID, 0)
		if err != nil {
			return nil, err
		}
		s.events[run.ID] = events
		for _, e := range events {
			switch d := e.Data.(type) {
			case lockstep.StepStarted:
				s.intended[try(e.Run, d.Step, d.Attempt)] = true
			case lockstep.StepFinished:
				if d.Outcome.OK() && isScript(d.Step) {
					s.well[try(e.Run, d.Step, d.Attempt)] = true
				}
			}
		}
	}
	return s, nil
}

func try(run lockstep.RunID, step lockstep.StepID, attempt int) tryOf {
	return tryOf{string(run), strings.ReplaceAll(string(step), "/", "%2F"), fmt.Sprint(attempt)}
}

func isScript(id lockstep.StepID) bool {
	for _, k := range kinds {
		if strings.HasSuffix(string(id), "/"+string(k)) {
			return true
		}
	}
	return false
}

// truth are the lines that the instance's scripts have written since it was
// read last.
func (i *instance) truth() ([]string, error) {
	f, err := os.Open(filepath.Join(i.root, "truth"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, i.read, 1<<30))
	i.read += int64(len(text))
	return strings.Split(strings.TrimSpace(string(text)), "\n"), err
}

// read counts begins and ends, and returns what the scripts themselves found
// broken.
func read(lines []string, begun map[tryOf]int, ended map[tryOf]bool) (wrong []string) {
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		t := parseMark(words[1])
		switch words[0] {
		case "begin":
			begun[t]++
		case "end":
			ended[t] = true
		default:
			wrong = append(wrong, "on an instance: "+line)
		}
	}
	return wrong
}

// parseMark reads the mark of a step, .../r-RUN/s-STEP@ATTEMPT.
func parseMark(mark string) tryOf {
	folder, step := filepath.Split(mark)
	name, attempt, _ := strings.Cut(strings.TrimPrefix(step, "s-"), "@")
	return tryOf{strings.TrimPrefix(filepath.Base(folder), "r-"), name, attempt}
}

// left is what is still locked on the instance, or was left there.
func (i *instance) left() (wrong []string, err error) {
	for _, job := range i.jobs {
		if _, err := os.Lstat(filepath.Join(i.root, "locked."+job)); err == nil {
			wrong = append(wrong, fmt.Sprintf("job %s of %s is locked", job, i.name))
		}
	}
	if _, err := os.Lstat(filepath.Join(i.root, "store")); err == nil {
		wrong = append(wrong, fmt.Sprintf("artifacts are left on %s", i.name))
	}
	return wrong, nil
}

// compare: nothing ran that was not durable before, nothing twice, and what is
// said to have ended well did.
func (s *story) compare(begun map[tryOf]int, ended map[tryOf]bool) (wrong []string) {
	once := map[tryOf]int{}
	for t, n := range begun {
		if !s.intended[t] {
			wrong = append(wrong, fmt.Sprintf("try %s of %s ran, and run %s does not know", t.attempt, t.step, t.run))
		}
		if n > 1 {
			wrong = append(wrong, fmt.Sprintf("try %s of %s of run %s ran %d times", t.attempt, t.step, t.run, n))
		}
		if !strings.HasSuffix(t.step, "-unlock") {
			once[tryOf{run: t.run, step: t.step}] += n
		}
	}
	for t, n := range once {
		if n > 1 {
			wrong = append(wrong, fmt.Sprintf("%s of run %s ran %d times", t.step, t.run, n))
		}
	}
	for t := range s.well {
		if !ended[t] {
			wrong = append(wrong, fmt.Sprintf("try %s of %s of run %s is said to have ended well, and did not", t.attempt, t.step, t.run))
		}
	}
	return wrong
}

// lost are the events that a process told its user of, and that are not in the
// journal.
func (s *story) lost(acks []said) (wrong []string) {
	for _, a := range acks {
		events, ok := s.events[lockstep.RunID(a.Run)]
		if ok && !has(events, a) {
			wrong = append(wrong, fmt.Sprintf("lost: %s %s of run %s: %s", a.Event, a.Step, a.Run, a.Message))
		}
	}
	return wrong
}

func has(events []lockstep.Event, a said) bool {
	for _, e := range events {
		if string(e.Data.EventType()) != a.Event {
			continue
		}
		d, ok := e.Data.(lockstep.StepFinished)
		if !ok || a.Step == "" || string(d.Step) == a.Step && d.Attempt == a.Attempt {
			return true
		}
	}
	return false
}

// backups reads every backup that is listed.
func (w *world) backups() (wrong []string, err error) {
	ctx := context.Background()
	r, err := dir.Open(filepath.Join(w.dir, "backups"))
	if err != nil {
		return nil, err
	}
	list, err := r.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, b := range list {
		if w.known[string(b.ID)] {
			continue
		}
		w.known[string(b.ID)] = true
		if err := repositorytest.Reread(ctx, r, b.ID); err != nil {
			wrong = append(wrong, fmt.Sprintf("backup %s: %v", b.ID, err))
		}
	}
	return wrong, nil
}
