package main

import (
	"testing"

	"lockstep"
)

// The fault points are read from the code, each once.
func TestPoints(t *testing.T) {
	t.Parallel()
	names, err := points("../..")
	if err != nil || len(names) < 30 {
		t.Fatalf("%d fault points, %v", len(names), err)
	}
	t.Logf("%d fault points: %q", len(names), names)
}

func step(run lockstep.RunID, id lockstep.StepID, attempt int) tryOf { return try(run, id, attempt) }

// What scripts write is compared with the journal: each way in which the two
// can differ is found.
func TestJudge(t *testing.T) {
	t.Parallel()
	lock, work := "/i/run/r-r1/s-db%2F0%2Fpg%2Fpre-backup-lock@1", "/i/run/r-r1/s-db%2F0%2Fpg%2Fbackup@1"
	s := func() *story {
		return &story{
			intended: map[tryOf]bool{step("r1", "db/0/pg/pre-backup-lock", 1): true, step("r1", "db/0/pg/backup", 1): true},
			well:     map[tryOf]bool{step("r1", "db/0/pg/pre-backup-lock", 1): true},
			events: map[lockstep.RunID][]lockstep.Event{"r1": {{Run: "r1", Seq: 1, Data: lockstep.StepFinished{
				Step: "db/0/pg/pre-backup-lock", Attempt: 1, Outcome: lockstep.Exited(0),
			}}}},
		}
	}
	for name, c := range map[string]struct {
		lines []string
		acks  []said
		want  int
	}{
		"all is well":         {lines: []string{"begin " + lock, "end " + lock, "begin " + work}},
		"ran without intent":  {lines: []string{"begin " + lock, "end " + lock, "begin /i/run/r-r1/s-x@1"}, want: 1},
		"ran twice":           {lines: []string{"begin " + lock, "end " + lock, "begin " + lock}, want: 2},
		"did not end":         {lines: []string{"begin " + lock}, want: 1},
		"a barrier is broken": {lines: []string{"begin " + lock, "end " + lock, "broken " + work + " backup runs"}, want: 1},
		"acknowledged": {
			lines: []string{"begin " + lock, "end " + lock},
			acks:  []said{{Run: "r1", Event: "step-finished", Step: "db/0/pg/pre-backup-lock", Attempt: 1}},
		},
		"lost": {
			lines: []string{"begin " + lock, "end " + lock},
			acks:  []said{{Run: "r1", Event: "step-finished", Step: "db/0/pg/pre-backup-lock", Attempt: 2}, {Run: "r1", Event: "run-ended"}}, want: 2,
		},
	} {
		begun, ended := map[tryOf]int{}, map[tryOf]bool{}
		got := read(c.lines, begun, ended)
		story := s()
		got = append(got, story.compare(begun, ended)...)
		if got = append(got, story.lost(c.acks)...); len(got) != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAnAuditThatDisagrees(t *testing.T) {
	const open = `{"ok":false,"broken":["terminal: event 8: the run has not ended"],"asked":["db/0"],"not_asked":[]}`
	const ok, broken = `{"ok":true,"broken":[],"asked":["db/0"],"not_asked":[]}`, `{"ok":false,"broken":["it ran twice"],"asked":["db/0"],"not_asked":[]}`
	for report, really := range map[string][]string{
		ok: {"broken x"}, broken: nil, open: {"broken x", notEnded}, "": nil, `{"ok":true,"broken":["x"]}`: nil,
		`{"ok":true,"broken":[],"not_asked":[{"instance":"db/0","why":"no route"}]}`: nil,
	} {
		if err := agrees(report, really); err == nil {
			t.Errorf("%s agrees with %q", report, really)
		}
	}
	for report, really := range map[string][]string{
		ok: nil, broken: {"broken x"}, open: {notEnded}, `{"ok":true,"broken":[],"not_asked":[{"why":"the run has done nothing there"}]}`: nil,
	} {
		if err := agrees(report, really); err != nil {
			t.Errorf("%s does not agree with %q: %v", report, really, err)
		}
	}
}
