package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	"lockstep/journal/sqlite"
)

// childVariable tells the test binary to be one of the children below, in the
// state folder that follows.
const childVariable = "LOCKSTEP_SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	role, dir, ok := strings.Cut(os.Getenv(childVariable), ":")
	if !ok {
		os.Exit(m.Run())
	}
	j, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err == nil {
		err = map[string]func(*sqlite.Journal) error{
			"append": appendForever, "own": ownForever, "limit": failToWrite, "fill": fillDisk,
		}[role](j)
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is the test binary in one of its roles.
type child struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func startChild(t *testing.T, role, dir string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(exe)}
	c.cmd.Env = append(os.Environ(), childVariable+"="+role+":"+dir)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

// line is the next line that the child prints, "" after the last.
func (c *child) line() string {
	if !c.out.Scan() {
		return ""
	}
	return c.out.Text()
}

// kill ends the child without a warning. It may be called twice.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// appendForever goes on with run-a from wherever it is, in batches of 1 to 5
// events, and prints the number of the last event that is durable.
func appendForever(j *sqlite.Journal) error {
	ctx := context.Background()
	events, err := j.Events(ctx, "run-a", 0)
	if err != nil {
		return err
	}
	st := journaltest.NewStory("run-a", "key-a")
	st.Seq = uint64(len(events))
	if st.Seq == 0 {
		if err := j.Append(ctx, st.Begun(lockstep.OperationBackup, 2)...); err != nil {
			return err
		}
	}
	for {
		var batch []lockstep.Event
		for range 1 + rand.IntN(5) {
			batch = append(batch, st.Event(lockstep.Noted{Level: "info", Message: strings.Repeat("x", rand.IntN(9000))}))
		}
		if err := j.Append(ctx, batch...); err != nil {
			return err
		}
		fmt.Println(st.Seq)
	}
}

// TestKilledWriter kills a process that appends, again and again, in the
// middle of whatever it does: every event that it said was durable is there.
//
//fault:18 a process that appends to the journal is killed at any moment | every record that it said was durable is there
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	var durable, rounds int
	for ; rounds < 10 || durable < 50 && rounds < 200; rounds++ {
		c := startChild(t, "append", dir)
		// In one round of two it has written for a while, however slow the
		// machine is; in the other it may not have come to that.
		die := sync.OnceFunc(func() {
			time.AfterFunc(time.Duration(rand.IntN(int(100*time.Millisecond))), func() { _ = c.cmd.Process.Kill() })
		})
		if rounds%2 == 0 {
			die()
		}
		for text := c.line(); text != ""; text = c.line() {
			die()
			if _, err := fmt.Sscanf(text, "%d", &durable); err != nil {
				t.Fatalf("writer says %q", text)
			}
		}
		c.kill()
		j := openDir(t, dir)
		events, err := j.Events(context.Background(), "run-a", 0) // a gap is an error
		if err != nil {
			t.Fatal(err)
		}
		if len(events) < durable {
			t.Fatalf("%d events are there, %d were durable", len(events), durable)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if durable < 50 {
		t.Errorf("only %d events in %d rounds: nothing was tested", durable, rounds)
	}
	t.Logf("%d writers were killed over %d events", rounds, durable)
}

// ownForever owns a key until it is killed.
func ownForever(j *sqlite.Journal) error {
	if _, err := j.Own(context.Background(), "key-a", "the child"); err != nil {
		return err
	}
	fmt.Println("owned")
	time.Sleep(time.Hour) // select {} would be a deadlock where nothing but Go runs
	return nil
}

//fault:18 the process that drives a deployment is killed | the deployment is free at once, and nobody else's before
func TestKilledOwner(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	j := openDir(t, dir)
	ctx := context.Background()
	for range 2 {
		c := startChild(t, "own", dir)
		if text := c.line(); text != "owned" {
			t.Fatalf("child says %q", text)
		}
		_, err := j.Own(ctx, "key-a", "the parent")
		if !errors.Is(err, journal.ErrOwned) || !strings.Contains(err.Error(), fmt.Sprintf("the child, process %d, since", c.cmd.Process.Pid)) {
			t.Errorf("got error %v, want ErrOwned that names the child", err)
		}
		if owner, err := j.Owner(ctx, "key-a"); err != nil || owner != "the child" {
			t.Errorf("owner is %q, %v", owner, err)
		}
		c.kill()
		if owner, err := j.Owner(ctx, "key-a"); err != nil || owner != "" {
			t.Errorf("owner after its death is %q, %v", owner, err)
		}
		release, err := j.Own(ctx, "key-a", "the parent")
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
}

// failToWrite appends until a limit on the length of files makes writes fail
// with an I/O error, lifts the limit, and prints what the journal does then.
func failToWrite(j *sqlite.Journal) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	st := journaltest.NewStory("run-a", "key-a")
	if err := j.Append(ctx, st.Begun(lockstep.OperationBackup, 2)...); err != nil {
		return err
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: before.Max}); err != nil {
		return err
	}
	for range 1000 {
		e := st.Event(lockstep.Noted{Level: "info", Message: strings.Repeat("x", 9000)})
		if err := j.Append(ctx, e); err != nil {
			st.Seq--
			fmt.Println("failed:", err, "hint:", lockstep.HintOf(err))
			break
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	fmt.Println("then:", j.Append(ctx, st.Event(lockstep.Noted{Level: "info"})))
	fmt.Println(st.Seq - 1)
	return nil
}

// TestFailedWriteIsNotBelieved: after an I/O error the journal takes no more
// events until it is opened again, though the disk seems well.
//
//fault:26 a write to the journal fails with an I/O error | nothing more is believed of that journal: `an earlier write failed`; `lockstep cleanup` unlocks
func TestFailedWriteIsNotBelieved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	c := startChild(t, "limit", dir)
	failed, then, seq := c.line(), c.line(), c.line()
	if !strings.HasPrefix(failed, "failed:") || !strings.Contains(failed, "disk I/O error") || !strings.Contains(failed, "lockstep cleanup") {
		t.Errorf("first failure: %q", failed)
	}
	if !strings.Contains(then, "an earlier write failed") {
		t.Errorf("append after the failure: %q", then)
	}
	events, err := openDir(t, dir).Events(context.Background(), "run-a", 0)
	if err != nil || fmt.Sprint(len(events)) != seq {
		t.Errorf("%d events, %v; want %s", len(events), err, seq)
	}
}
