package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep"
	"lockstep/journal/journaltest"
	"lockstep/journal/sqlite"
)

// smallDisk is a folder on a file system of its own of 16 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m,mode=700"); err != nil {
		t.Skipf("SKIPPED: a full disk needs a small file system, and this user cannot mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return filepath.Join(dir, "state")
}

// fillUp writes a file until the disk is full, to the last byte.
func fillUp(dir string) error {
	f, err := os.Create(filepath.Join(dir, "..", "ballast"))
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return nil
}

// fillDisk is the child of TestDiskFull: the disk becomes full while jobs are
// locked; it records that they were unlocked, goes on, and prints what happens
// when the reserve is used up too.
func fillDisk(j *sqlite.Journal) error {
	dir := strings.TrimPrefix(os.Getenv(childVariable), "fill:")
	ctx := context.Background()
	st := journaltest.NewStory("run-a", "key-a")
	must := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	must(j.Append(ctx, st.Begun(lockstep.OperationBackup, 200)...))
	must(j.Append(ctx, st.Started(lockstep.StageLock)...))
	must(j.CheckReserve(ctx))
	must(fillUp(dir))
	for _, e := range append(st.Started(lockstep.StageUnlock), st.Finished(lockstep.StageUnlock, lockstep.Exited(0))...) {
		must(j.Append(ctx, e))
	}
	fmt.Println("reserve:", j.CheckReserve(ctx))
	fmt.Println("output:", j.PutOutput(ctx, "run-a", "s", lockstep.StepOutput{Head: make([]byte, 100)}))
	must(fillUp(dir))
	for {
		if err := j.Append(ctx, st.Event(lockstep.Noted{Level: "info", Message: strings.Repeat("x", 9000)})); err != nil {
			fmt.Println("full:", err, "hint:", lockstep.HintOf(err))
			break
		}
	}
	must(os.Remove(filepath.Join(dir, "..", "ballast")))
	st.Seq--
	must(j.Append(ctx, st.Event(lockstep.Noted{Level: "info"}))) // a full disk is not a broken one
	fmt.Println(st.Seq)
	return nil
}

//fault:25 the journal's disk is full in the middle of a run | the reserve lets the unlocks be recorded; new work is refused
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t)
	c := startChild(t, "fill", dir)
	for _, want := range []string{"reserve: check state folder", "output: ", "full: "} {
		got := c.line()
		if !strings.HasPrefix(got, want) || strings.HasSuffix(got, "<nil>") {
			t.Fatalf("child says %q, want %q and an error", got, want)
		}
	}
	seq := c.line()
	c.kill()
	ctx := context.Background()
	j := openDir(t, dir)
	events, err := j.Events(ctx, "run-a", 0)
	if err != nil || fmt.Sprint(len(events)) != seq {
		t.Errorf("%d events, %v; want %s", len(events), err, seq)
	}
	if held, err := j.Held(ctx, ""); err != nil || len(held) != 0 {
		t.Errorf("%d jobs are held, %v; want none", len(held), err)
	}
	if err := j.CheckReserve(ctx); err != nil {
		t.Errorf("reserve after there is room again: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOpenOnFullDisk: a process that starts on a full disk can still record.
//
//fault:24 a process starts on a full disk | it can still record what it unlocks
func TestOpenOnFullDisk(t *testing.T) {
	dir := smallDisk(t)
	first := openDir(t, dir)
	ctx := context.Background()
	st := journaltest.NewStory("run-a", "key-a")
	if err := errors.Join(first.Append(ctx, st.Begun(lockstep.OperationBackup, 2)...), first.Close(), fillUp(dir)); err != nil {
		t.Fatal(err)
	}
	j := openDir(t, dir)
	release, err := j.Own(ctx, "key-a", "cleanup")
	if err != nil {
		t.Fatal(err)
	}
	release()
	if err := j.Append(ctx, st.Started(lockstep.StageLock)...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReadingOnAFullDisk: the disk is full to its last byte and the reserve is
// used up. What was recorded is read all the same, and what would be written is
// refused in words that say why.
//
//fault:state-disk-full-no-reserve the state disk has 0 bytes left and the reserve is gone | runs and held jobs are listed; whatever records says that the disk is full and what to type
func TestReadingOnAFullDisk(t *testing.T) {
	dir := smallDisk(t)
	first := openDir(t, dir)
	ctx := context.Background()
	st := journaltest.NewStory("run-a", "key-a")
	err := errors.Join(first.Append(ctx, st.Begun(lockstep.OperationBackup, 2)...), first.Append(ctx, st.Started(lockstep.StageLock)...), first.Close(),
		os.Remove(filepath.Join(dir, "reserve")), fillUp(dir))
	if err != nil {
		t.Fatal(err)
	}
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	runs, err := j.Runs(ctx, lockstep.RunFilter{})
	if err != nil || len(runs) != 1 || runs[0].ID != "run-a" {
		t.Errorf("runs: %+v, %v", runs, err)
	}
	if held, err := j.Held(ctx, ""); err != nil || len(held) == 0 {
		t.Errorf("held: %+v, %v", held, err)
	}
	if events, err := j.Events(ctx, "run-a", 0); err != nil || len(events) < 3 {
		t.Errorf("%d events, %v", len(events), err)
	}
	err = j.Append(ctx, st.Event(lockstep.Noted{Level: "info"}))
	if err == nil || !strings.Contains(err.Error(), "the disk is full") || strings.Contains(err.Error(), "4874") || !strings.Contains(lockstep.HintOf(err), "free some space") {
		t.Errorf("append: %v, hint %q", err, lockstep.HintOf(err))
	}
	if err := errors.Join(j.Close(), os.Remove(filepath.Join(dir, "..", "ballast"))); err != nil {
		t.Fatal(err)
	}
	again := openDir(t, dir)
	st.Seq--
	if err := errors.Join(again.Append(ctx, st.Event(lockstep.Noted{Level: "info"})), again.Close()); err != nil {
		t.Errorf("after there is room again: %v", err)
	}
}
