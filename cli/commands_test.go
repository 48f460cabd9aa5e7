package cli

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/internal/golden"
	"lockstep/show/showtest"
)

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string
		want string
	}{
		{"bakup shop", "did you mean `lockstep backup`?"},
		{"backup", "DEPLOYMENT is missing"},
		{"backup shop extra", `one argument too many: "extra"`},
		{"backup shop --nope", "unknown flag: --nope"},
		{"runs", "missing subcommand: ack, audit, cancel, list, prune, show, watch"},
		{"runs shwo", "did you mean `lockstep runs show`?"},
		{"runs list --state lost", `no state "lost"`},
		{"runs list --limit -1", "below 0"},
		{"runs show x --raw", "--raw goes with --output"},
		{"runs ack x", "--job, or --restored, and --reason are wanted"},
		{"runs prune", "--older-than is wanted"},
		{"runs prune --older-than soon", `"soon" is not a duration`},
		{"restore shop", "BACKUP (an id, or latest) is missing"},
		{"restore shop latest", "there is no terminal to ask on"},
		{"restore shop latest --yes --map db", `--map "db" cannot be read`},
		{"restore shop latest --yes --instance db", `--instance "db" names no instance`},
		{"plan shop --job postgres", "go with --restore BACKUP"},
		{"recover", "name a deployment, or say --all"},
		{"recover shop --all", "name a deployment, or say --all"},
		{"backups verify", "name a backup, or say --all"},
		{"backups forget", "name a backup, or say which to keep"},
		{"backups forget x --keep-last 1", "not both"},
		{"backups forget --keep-daily -1", "below 0"},
		{"backups forget x", "there is no terminal to ask on"},
		{"backup shop -o yaml", `unknown output "yaml"`},
		{"backup shop --log-format xml", `unknown log format "xml"`},
		{"completion tcsh", `no shell "tcsh"`},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.refuse = errors.New("a run was started")
			if strings.HasPrefix(tt.line, "backups forget x") {
				tt.line = strings.Replace(tt.line, " x", " "+string(showtest.Kept().ID), 1)
			}
			r := runWith(t, f, nil, strings.Fields(tt.line)...)
			if r.code != exitUsage || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
				t.Errorf("want exit code 2 and %q; got:\n%s", tt.want, r)
			}
			if len(f.forgot) > 0 {
				t.Errorf("forgot %v", f.forgot)
			}
		})
	}
}

func TestEveryCommandTeaches(t *testing.T) {
	t.Parallel()
	i := newInvocation(Program{Stdout: io.Discard, Stderr: io.Discard})
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" {
				visit(sub)
			}
		}
		if c.HasSubCommands() || !c.Runnable() {
			return
		}
		for _, part := range []string{"\n  lockstep ", "Exit codes"} {
			if !strings.Contains(c.Long, part) {
				t.Errorf("help of %s has no %q", c.CommandPath(), part)
			}
		}
		for l := range strings.Lines(c.Long) {
			if len([]rune(l)) > 85 {
				t.Errorf("help of %s has a line that is too long: %s", c.CommandPath(), l)
			}
		}
	}
	visit(i.rootCommand())
}

func TestRefusalBecauseOfHeldJobs(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.refuse = &lockstep.Error{
		Kind: lockstep.KindHeld, Op: "back up shop", Err: errors.New("db/0/postgres may still be locked by run 0198c0de-0000"),
		Hint: "`lockstep cleanup shop` unlocks it",
	}
	r := runWith(t, f, nil, "backup", "shop")
	want := result{lockstep.ExitHeld, "", "lockstep: back up shop\nwhy: db/0/postgres may still be locked by run 0198c0de-0000\n" +
		"hint: `lockstep cleanup shop` unlocks it\n"}
	if r != want {
		t.Errorf("got:\n%s", r)
	}
}

func TestOtherCommandsTellOfAbandonedRunsAndHeldJobs(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.runs = []lockstep.RunSummary{{
		ID: "0198c0de-0000", Deployment: "shop", Operation: lockstep.OperationBackup,
		State: lockstep.RunRunning, StartedAt: showtest.Begin, Abandoned: true,
	}, {
		ID: "0198c0de-0005", Deployment: "other", Operation: lockstep.OperationBackup,
		State: lockstep.RunRunning, StartedAt: showtest.Begin,
	}}
	f.held = []lockstep.Hold{
		{Deployment: "shop", Slot: lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}, Run: "0198c0de-0000"},
		{Deployment: "cf", Slot: lockstep.Slot{Group: "api", Index: "1", Job: "capi"}, Run: "0198c0de-0009"},
		{Deployment: "other", Slot: lockstep.Slot{Group: "a", Index: "0", Job: "b"}, Run: "0198c0de-0005"}, // it works there
	}
	golden.Check(t, "golden/runs_list.txt", runWith(t, f, nil, "runs", "list").String())
}

func TestRunsShow(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.play.Fates["files/0/blobs/backup"] = lockstep.StepFinished{Outcome: lockstep.Exited(7), Error: "exit 7: \x1b]0;title\a"}
	f.play.Open(lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	f.play.Drive("")
	f.output = []lockstep.StepOutput{{Attempt: 1, Stream: "stderr", Head: []byte("a\x1b[31mb\xff\n"), Tail: []byte("end"), Dropped: 4096}}
	golden.Check(t, "golden/runs_show.txt", runWith(t, f, nil, "runs", "show", "0198c0de-0001").String())
	golden.Check(t, "golden/runs_show_output.txt", runWith(t, f, nil, "runs", "show", "0198c0de-0001", "--output", "files/0/blobs/backup").String())

	raw := runWith(t, f, nil, "runs", "show", "0198c0de-0001", "--output", "files/0/blobs/backup", "--raw")
	if raw.stdout != "a\x1b[31mb\xff\nend" {
		t.Errorf("--raw gave %q", raw.stdout)
	}
	none := runWith(t, f, nil, "runs", "show", "nope")
	if none.code != 1 || !strings.Contains(none.stderr, "find run \"nope\"\nwhy: not in the journal") {
		t.Errorf("got:\n%s", none)
	}
	missing := runWith(t, f, nil, "runs", "show", "0198c0de-0001", "--output", "db/9/x/backup")
	if missing.code != 1 || !strings.Contains(missing.stderr, "lists the steps") {
		t.Errorf("got:\n%s", missing)
	}
}

func TestBackupsVerify(t *testing.T) {
	t.Parallel()
	f := newFake()
	if r := runWith(t, f, nil, "backups", "verify", "--all"); r.code != 0 || !strings.Contains(r.stdout, "ok") {
		t.Errorf("got:\n%s", r)
	}
	f.bad[showtest.Kept().ID] = "artifact db-0-postgres: entry \"base/1\" has other content"
	r := runWith(t, f, nil, "backups", "verify", string(showtest.Kept().ID))
	if r.code != lockstep.ExitError {
		t.Errorf("exit code %d, want %d", r.code, lockstep.ExitError)
	}
	golden.Check(t, "golden/backups_verify.txt", r.stdout)
}

func TestBackupsListAndShow(t *testing.T) {
	t.Parallel()
	golden.Check(t, "golden/backups_list.txt", runWith(t, newFake(), nil, "backups", "list", "shop").String())
	golden.Check(t, "golden/backups_show.txt", runWith(t, newFake(), nil, "backups", "show", string(showtest.Kept().ID)).String())
}

func TestBackupsForget(t *testing.T) {
	t.Parallel()
	f := newFake()
	r := runWith(t, f, nil, "backups", "forget", string(showtest.Kept().ID), "nope", "--yes")
	if r.code != 1 || len(f.forgot) > 0 {
		t.Errorf("one is unknown, yet %v went; got:\n%s", f.forgot, r)
	}
	r = runWith(t, f, nil, "backups", "forget", "--keep-last", "3", "--yes")
	if r.code != 0 || len(f.forgot) > 0 || !strings.Contains(r.stdout, "keep") {
		t.Errorf("the only backup went: %v; got:\n%s", f.forgot, r)
	}
	r = runWith(t, f, nil, "backups", "forget", string(showtest.Kept().ID), "--yes")
	if diff := cmp.Diff([]lockstep.BackupID{showtest.Kept().ID}, f.forgot); diff != "" || r.code != 0 {
		t.Errorf("%s\ngot:\n%s", diff, r)
	}
}

// TestForgetUnderObjectLock: a backup that is named is refused with its date; one that a
// rule would delete stays for now, and the others go.
func TestForgetUnderObjectLock(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.forget = &lockstep.Error{Kind: lockstep.KindRetained, Op: "delete backup", Err: errors.New("object lock keeps it"), Hint: "do it after 2026-12-30 14:42:41 UTC"}
	r := runWith(t, f, nil, "backups", "forget", string(showtest.Kept().ID), "--yes")
	if r.code != 1 || !strings.Contains(r.stderr, "do it after 2026-12-30 14:42:41 UTC") || strings.Contains(r.stdout, "forgot") {
		t.Errorf("named; got:\n%s", r)
	}
	f.more = []lockstep.Backup{showtest.Kept(), showtest.Kept()}
	f.more[0].ID, f.more[1].ID = "shop_1", "shop_2"
	f.more[0].StartedAt, f.more[1].StartedAt = f.more[0].StartedAt.Add(-time.Hour), f.more[1].StartedAt.Add(-2*time.Hour)
	r = runWith(t, f, nil, "backups", "forget", "--keep-last", "1", "--yes")
	if r.code != 0 || !strings.Contains(r.stderr, "2 of 2 backups stay") || !strings.Contains(r.stderr, "2026-12-30") || len(f.forgot) != 3 {
		t.Errorf("by a rule, %v was tried; got:\n%s", f.forgot, r)
	}
}

func TestBackupsExport(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	if r := runWith(t, newFake(), nil, "backups", "export", string(showtest.Kept().ID), dir); r.code != 0 {
		t.Fatalf("got:\n%s", r)
	}
	data, err := os.ReadFile(filepath.Join(dir, "db-0-postgres.tar"))
	if string(data) != "tar of db-0-postgres" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "lockstep.json")); err != nil {
		t.Error(err)
	}
	again := runWith(t, newFake(), nil, "backups", "export", string(showtest.Kept().ID), dir)
	if again.code != 1 || !strings.Contains(again.stderr, "not empty") {
		t.Errorf("got:\n%s", again)
	}
}

func TestDiagnosticHoldsWhatHelpersNeed(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.play.Open(lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	f.play.Drive("db/0/postgres/backup") // it still runs
	f.runs = []lockstep.RunSummary{{ID: "0198c0de-0001", Deployment: "shop", State: lockstep.RunRunning, StartedAt: showtest.Begin}}
	file := filepath.Join(t.TempDir(), "d.tar.gz")
	r := runWith(t, f, nil, "diagnostic", "--file", file, "--config", filepath.Join(t.TempDir(), "none.yaml"))
	if r.code != 0 || r.stdout != file+"\n" {
		t.Fatalf("got:\n%s", r)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	for _, want := range []string{"version.json", "platform.txt", "errors.txt", "held.json", "backups.json", "runs.json", "runs/0198c0de-0001.jsonl"} {
		if !slices.Contains(names, "d/"+want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
}

func TestRestorePreview(t *testing.T) {
	t.Parallel()
	i := newInvocation(Program{Stdout: io.Discard, Stderr: io.Discard, Now: func() time.Time { return showtest.Begin }})
	plan := showtest.PlanFor(lockstep.Request{Operation: lockstep.OperationRestore})
	golden.Check(t, "golden/restore_preview.txt", i.replaceText(showtest.Kept(), plan))
}
