package executor

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
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep"
	"lockstep/launcher"
	"lockstep/target"
)

// watched is a target that does something when the first bytes of an archive have
// come, or does not let it begin at all.
type watched struct {
	target.Target
	once sync.Once
	then func()
	seen *[]string
}

func (w *watched) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if w.seen != nil {
		*w.seen = append(*w.seen, command)
	}
	if strings.Contains(command, "'tar-out'") && w.then != nil {
		streams.Stdout = writer(func(p []byte, to io.Writer) (int, error) {
			w.once.Do(w.then)
			return to.Write(p)
		}, streams.Stdout)
	}
	return w.Target.Run(ctx, command, streams)
}

type writing struct {
	f  func([]byte, io.Writer) (int, error)
	to io.Writer
}

func (w writing) Write(p []byte) (int, error) { return w.f(p, w.to) }

func writer(f func([]byte, io.Writer) (int, error), to io.Writer) io.Writer { return writing{f, to} }

// on puts a target between the world's executor and its instance.
func (w *world) on(change func(target.Target) target.Target) {
	w.t.Helper()
	old := w.exec.cfg.Clients["db/0"]
	_ = old.Close()
	client := launcher.New(change(w.target), launcher.Config{RunDir: "run", StateDir: "lib"})
	w.t.Cleanup(func() { client.Close() })
	if _, err := client.Claim(w.t.Context(), launcher.ClaimRequest{Key: "k", Owner: "test", Run: string(theRun), Term: 1}); err != nil {
		w.t.Fatal(err)
	}
	w.exec.cfg.Clients["db/0"] = client
}

// TestOnlyBytesCount: while a file is read, it loses or gets a name elsewhere, or a
// copy takes its place; or its bytes change under the time that they had, or it, or
// its folder, is something else.
//
//fault:store-drops-references a file of the artifact loses a name elsewhere while it is collected | verified: its bytes are as they were
//fault:store-drops-references the folder of the artifact is renamed while it is collected | failed; the folder is named as gone
//fault:53 a file's bytes change while it is collected, and its time is put back | failed; the file is named
//fault:6 something goes on writing to the artifact when its script has ended | failed; the file is named
func TestOnlyBytesCount(t *testing.T) {
	t.Parallel()
	outside := func(file string) string { return filepath.Join(filepath.Dir(file), "../../outside") }
	for name, change := range map[string]func(file string) error{
		"verified without a name": func(file string) error { return os.Remove(outside(file)) },
		"verified with one more":  func(file string) error { return os.Link(file, outside(file)+"-2") },
		"verified when replaced":  replaced,
		`"big": mode differs`:     func(file string) error { return os.Chmod(outside(file), 0o640) },
		`"big": unexpected`:       os.Remove,
		`"big": type differs`:     func(file string) error { return errors.Join(os.Remove(file), os.Symlink("/etc/hostname", file)) },
		"the folder is gone from instance db/0": func(file string) error {
			return os.Rename(filepath.Dir(file), filepath.Dir(file)+".old")
		},
		`"big": content differs`: func(file string) error {
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil {
				return err
			}
			if _, err := f.WriteAt([]byte("other bytes"), 1000); err != nil {
				return err
			}
			return os.Chtimes(file, time.Time{}, time.Unix(st.Mtim.Unix()))
		},
		`"big": size differs`: func(file string) error { return os.Truncate(file, 17<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.exec.cfg.Repository = &staging{Repository: w.repo}
			w.saved()
			big := filepath.Join(w.root, "store/pg/big")
			if err := os.WriteFile(big, bytes.Repeat([]byte("0123456789abcdef"), 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(big, filepath.Join(w.root, "outside")); err != nil {
				t.Fatal(err)
			}
			if _, err := w.repo.Begin(t.Context(), "shop_1"); err != nil {
				t.Fatal(err)
			}
			w.on(func(at target.Target) target.Target {
				return &watched{Target: at, then: func() {
					if err := change(big); err != nil {
						t.Error(err)
					}
				}}
			})
			f := w.do(w.task(lockstep.StageCollect, nil))
			if f.Outcome.OK() {
				proof := w.task(lockstep.StageVerify, nil)
				proof.Artifact = f.Artifact
				f = w.do(proof)
			}
			good := strings.HasPrefix(name, "verified")
			if f.Outcome.OK() != good || !good && !strings.Contains(f.Error, name) || strings.Contains(f.Error, "damaged") {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestNothingMovesBeforeOddThingsAreFound: no archive was asked for.
func TestNothingMovesBeforeOddThingsAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.saved()
	if err := unix.Mkfifo(filepath.Join(w.root, "store/pg/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	var seen []string
	w.on(func(at target.Target) target.Target { return &watched{Target: at, seen: &seen} })
	f := w.do(w.task(lockstep.StageCollect, nil))
	if f.Outcome.OK() || !strings.Contains(f.Error, `"pipe"`) || !strings.Contains(f.Error, "FIFO") {
		t.Errorf("%+v", f)
	}
	for _, command := range seen {
		if strings.Contains(command, "'pack'") || strings.Contains(command, "'tar-out'") || strings.Contains(command, "'inventory'") {
			t.Errorf("asked for %s", command)
		}
	}
}

// TestMountsOutliveTheRun: they are named by the collect and by the clean step, with
// what to type, and nothing of the artifact is removed.
func TestMountsOutliveTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.saved()
	live, at := filepath.Join(w.root, "live"), filepath.Join(w.root, "store/pg/live")
	if err := os.MkdirAll(live, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(live, "precious"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(live, at, "", unix.MS_BIND, ""); err != nil {
		t.Skip("mounting is not allowed here: ", err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	for _, stage := range []lockstep.Stage{lockstep.StageCollect, lockstep.StageClean, lockstep.StageCheck} {
		task := w.task(stage, nil)
		task.Artifacts = true
		f := w.do(task)
		if f.Outcome.OK() || !strings.Contains(f.Error, fmt.Sprintf("%q", at)) || !strings.Contains(f.Hint, "umount") || !strings.Contains(f.Hint, "lockstep cleanup shop") {
			t.Errorf("%s: %+v", stage, f)
		}
		if _, err := os.Stat(filepath.Join(live, "precious")); err != nil {
			t.Fatalf("%s: %v", stage, err)
		}
	}
}

// TestDamageIsToldOnce, and not as what it did to the unpacking.
//
//fault:12.1-damaged-tar a bit of a kept tar of many files is flipped | place says that the data is damaged, once, and nothing else
func TestDamageIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.saved()
	for i := range 300 {
		if err := os.WriteFile(filepath.Join(w.root, "store/pg", fmt.Sprint(i)), bytes.Repeat([]byte{byte(i)}, 3000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.thereAndBack(t, filepath.Join(w.root, "was"))
	manifest, err := w.repo.Get(t.Context(), "shop_1")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.repo.Damage("shop_1", "db-0-pg", int(manifest.Artifacts[0].Bytes)*2/3); err != nil {
		t.Fatal(err)
	}
	w.on(func(at target.Target) target.Target { return lossy{at} })
	if err := os.RemoveAll(filepath.Join(w.root, "store")); err != nil {
		t.Fatal(err)
	}
	place := w.task(lockstep.StagePlace, nil)
	place.Manifest, place.Artifact = &manifest, &manifest.Artifacts[0]
	f := w.do(place)
	if f.Outcome.OK() || strings.Count(f.Error, "damaged") != 1 || strings.Contains(f.Error, "lost") || strings.Contains(f.Error, "not empty") {
		t.Errorf("%+v", f)
	}
}

// lossy loses the connection when what it is given to send fails, as ssh does.
type lossy struct{ target.Target }

func (l lossy) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if streams.Stdin == nil || !strings.Contains(command, "'place-in'") {
		return l.Target.Run(ctx, command, streams)
	}
	in := &failing{from: streams.Stdin}
	streams.Stdin = in
	exit, err := l.Target.Run(ctx, command, streams)
	if in.err != nil {
		return target.Exit{}, fmt.Errorf("%w: %w", target.ErrLost, in.err)
	}
	return exit, err
}

type failing struct {
	from io.Reader
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}
