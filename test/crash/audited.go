package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/journal/sqlite"
)

// audited has the program audit the newest run, which a kill may have left in the
// middle, and compares with what the instances wrote down: a promise is broken in
// both or in none.
func (c *cycle) audited() error {
	newest, err := c.newest()
	if err != nil || newest.ID == "" {
		return err
	}
	run := newest.ID
	p, err := c.start(aim{}, "", "runs", "audit", string(run), "-o", "json")
	if err != nil {
		return err
	}
	if p.wait(c.patience); p.hung {
		c.hang(append(c.told, "audit"), p)
		return errors.New("runs audit did not end")
	}
	broken, err := c.really(run)
	if err != nil {
		return err
	}
	if newest.State == lockstep.RunRunning {
		broken = append(broken, notEnded)
	}
	if err := agrees(p.stdout.String(), broken); err != nil {
		return fmt.Errorf("runs audit %s, with exit %d: %w\n%s", run, p.code(), err, tail(p.stderr.String(), 2000))
	}
	return nil
}

// notEnded is what an audit says of a run that a kill left in the middle.
const notEnded = "the run has not ended"

// agrees compares what `runs audit` printed with what was really broken: it says
// of a run without an end that it has none, and of every run whether more is wrong.
func agrees(report string, broken []string) error {
	var a struct {
		OK bool `json:"ok"`
		lockstep.RunAudit
	}
	if err := json.Unmarshal([]byte(report), &a); err != nil {
		return fmt.Errorf("its report %q: %w", report, err)
	}
	for _, n := range a.NotAsked {
		if n.Instance != "" { // all can be reached
			return fmt.Errorf("it did not ask %s: %s", n.Instance, n.Why)
		}
	}
	ends := func(s string) bool { return strings.HasSuffix(s, notEnded) }
	if a.OK != (len(a.Broken) == 0) || slices.ContainsFunc(a.Broken, ends) != slices.Contains(broken, notEnded) ||
		(len(slices.DeleteFunc(a.Broken, ends)) == 0) != (len(slices.DeleteFunc(slices.Clone(broken), ends)) == 0) {
		return fmt.Errorf("it says %q, and the instances %q", a.Broken, broken)
	}
	return nil
}

// newest is the run that was begun last, the zero one if there is none but plans.
func (w *world) newest() (none lockstep.RunSummary, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: filepath.Join(w.dir, "state")})
	if err != nil {
		return none, err
	}
	defer j.Close()
	runs, err := j.Runs(ctx, lockstep.RunFilter{Limit: 10})
	i := slices.IndexFunc(runs, func(r lockstep.RunSummary) bool { return r.Operation != lockstep.OperationPlan })
	if err != nil || i < 0 {
		return none, err
	}
	return runs[i], nil
}

// really are the lines in which scripts of the run said that a promise was broken.
func (w *world) really(run lockstep.RunID) ([]string, error) {
	var broken []string
	for _, i := range w.instances {
		b, err := os.ReadFile(filepath.Join(i.root, "truth"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "broken ") && strings.Contains(line, "r-"+string(run)) {
				broken = append(broken, strings.TrimSpace(line))
			}
		}
	}
	return broken, nil
}
