package bbr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"lockstep"
)

// maxDeployments is how many deployments are worked on at once.
const maxDeployments = 10

const ruler = "-------------------------"

// sums are the original's words for how all deployments fared.
type sums struct{ starting, doing, noun, well, badly string }

func (a action) sums() sums {
	switch a {
	case actionBackup:
		return sums{"Starting backup...", "backup", "backup", "Successfully backed up", "cannot be backed up"}
	case actionBackupCleanup:
		return sums{"Starting cleanup...", "cleanup", "cleanup", "Successfully cleaned up", "could not be cleaned up"}
	case actionCheck, actionRestore, actionRestoreCleanup:
	}
	return sums{well: "Successfully can be backed up", badly: "cannot be backed up"}
}

// all does the job on every deployment of the director.
func (j *job) all(ctx context.Context) int {
	switch {
	case j.action == actionBackup && j.order.own.truth["unsafe-lock-free"]:
		return j.report([]fault{{text: "Cannot use the --unsafe-lock-free flag in conjunction with the --all-deployments flag"}}, "", lockstep.ExitError)
	case j.action == actionRestore || j.action == actionRestoreCleanup:
		return j.one(ctx) // without a name, which nothing has
	}
	words := j.action.sums()
	if j.action == actionBackup {
		fmt.Fprintln(j.Stdout, words.starting)
	}
	quiet := newLogger(io.Discard, j.Now, j.log.debug)
	d, err := j.connect(ctx, quiet)
	if err == nil && j.action == actionBackupCleanup {
		fmt.Fprintln(j.Stdout, words.starting)
	}
	var names []string
	if err == nil {
		names, err = d.Deployments(ctx)
	}
	if err == nil && len(names) == 0 {
		err = errors.New("Failed to find any deployments")
	}
	if err != nil {
		return j.report([]fault{faultOf(err)}, "", lockstep.ExitError)
	}
	j.say("Pending: %s", strings.Join(names, ", "))
	j.say(ruler)
	results := j.eachDeployment(names, func(name string) result {
		if j.action == actionCheck {
			r := j.performOn(ctx, d, name, quiet)
			j.tellCheck(name, r)
			return r
		}
		return j.deployment(ctx, name)
	})
	return j.sum(names, results)
}

// say prints a line with the time before it.
func (j *job) say(format string, args ...any) {
	fmt.Fprintf(j.Stdout, "[%s] %s\n", j.clock(), fmt.Sprintf(format, args...))
}

// eachDeployment does the same for all, some at once.
func (j *job) eachDeployment(names []string, do func(string) result) []result {
	results := make([]result, len(names))
	slots := make(chan struct{}, maxDeployments)
	var wg sync.WaitGroup
	for i, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = do(name)
		})
	}
	wg.Wait()
	return results
}

func (j *job) performOn(ctx context.Context, d Director, name string, log *logger) result {
	t, err := j.taskOn(d, name, log)
	if err != nil {
		return failed(err)
	}
	return t.perform(ctx)
}

// deployment does the job on one of all deployments, with a log file and a
// connection of its own.
func (j *job) deployment(ctx context.Context, name string) result {
	words := j.action.sums()
	path := fmt.Sprintf("%s_%s.log", name, j.Now().UTC().Format("20060102T150405Z"))
	if j.action == actionBackup {
		path = filepath.Join(j.order.own.text["artifact-path"], path)
	}
	file, err := os.OpenFile(j.inDir(path), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return failed(named(err, path))
	}
	defer file.Close()
	var buffer bytes.Buffer
	log := newLogger(io.MultiWriter(&buffer, file), j.Now, j.log.debug)
	d, err := j.connect(ctx, log)
	if err != nil {
		return failed(err)
	}
	j.say("Starting %s of %s, log file: %s", words.doing, name, path)
	r := j.performOn(ctx, d, name, log)
	if len(r.faults) == 0 {
		j.say("Finished %s of %s", words.doing, name)
		return r
	}
	if j.action == actionBackupCleanup {
		fmt.Fprintf(j.Stdout, "Failed to cleanup deployment '%s'\n", name)
	}
	// One write, so that dumps of two deployments are not mixed.
	fmt.Fprintf(j.Stdout, "[%s] ERROR: failed to %s %s\n%s\n", j.clock(), words.noun, name, buffer.String())
	return r
}

// sum tells how all deployments fared.
func (j *job) sum(names []string, results []result) int {
	words := j.action.sums()
	var well, bad []string
	var faults []fault
	details, footer := "", ""
	for i, r := range results {
		if len(r.faults) == 0 {
			well = append(well, names[i])
			continue
		}
		bad = append(bad, names[i])
		faults = append(faults, r.faults...)
		details += fmt.Sprintf("Deployment '%s':\n%s\n", names[i], indented(listed(r.faults)))
		if advised(j.action, r.faults) {
			footer = adviceAll
		}
	}
	j.say(ruler)
	j.say("%s: %s", words.well, strings.Join(well, ", "))
	if len(bad) == 0 {
		return 0
	}
	j.say("FAILED: %s", strings.Join(bad, ", "))
	text := fmt.Sprintf("%d out of %d deployments %s:\n  %s\n%s", len(bad), len(names), words.badly, strings.Join(bad, "\n  "), details)
	return j.reportText(text, faults, footer, lockstep.ExitError)
}
