package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/test/e2e/instances"
)

// dataDir is where scripts keep what tests ask about.
const dataDir = "/var/vcap/data/shop"

// Locked asks the instances what is locked: marks of lock scripts, and fronts
// whose gate is closed. An instance that is off is not asked.
func (s *Shop) Locked(ctx context.Context) ([]string, error) {
	var out []string
	for _, in := range s.Instances() {
		marks, err := os.ReadDir(in.Path(dataDir + "/locks"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, m := range marks {
			out = append(out, in.Name+"/"+m.Name())
		}
		if _, err := os.Stat(in.Path(dataDir + "/closed")); err == nil {
			out = append(out, in.Name+" is closed")
		}
	}
	slices.Sort(out)
	return out, ctx.Err()
}

// Hold makes a script wait; the function that is returned lets it go on.
// script is JOB/KIND.
func Hold(in *instances.Instance, script string) (func(), error) {
	file := filepath.Join(dataDir, "knobs", script+".hold")
	return func() { _ = os.Remove(in.Path(file)) }, touch(in.Path(file))
}

// Fail makes a script fail, always or once.
func Fail(in *instances.Instance, script string, once bool) error {
	suffix := map[bool]string{true: ".fail-once", false: ".fail"}[once]
	return touch(in.Path(filepath.Join(dataDir, "knobs", script+suffix)))
}

// Free forgets every Hold and Fail of an instance.
func Free(in *instances.Instance) error {
	return os.RemoveAll(in.Path(dataDir + "/knobs"))
}

func touch(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, nil, 0o644)
}

// Call is what a script noted about itself.
type Call struct {
	Time     time.Time
	Instance string
	// Script is JOB/KIND; What is "begin" or "end:STATUS".
	Script, What string
	// Successful is BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL, or "unset".
	Successful string
}

// Calls are the notes of all scripts of all instances since the disks were
// made, in order of time.
func (s *Shop) Calls() ([]Call, error) {
	var out []Call
	for _, in := range s.Instances() {
		data, err := os.ReadFile(in.Path(dataDir + "/calls"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) != 4 {
				return nil, fmt.Errorf("calls of %s: cannot read %q", in.Name, line)
			}
			ns, err := strconv.ParseInt(f[0], 10, 64)
			if err != nil {
				return nil, err
			}
			out = append(out, Call{time.Unix(0, ns), in.Name, f[1], f[2], f[3]})
		}
	}
	slices.SortFunc(out, func(a, b Call) int { return a.Time.Compare(b.Time) })
	return out, nil
}

// WaitFor waits until a script of an instance has noted that.
func (s *Shop) WaitFor(ctx context.Context, in *instances.Instance, script, what string) error {
	for {
		calls, err := s.Calls()
		if err != nil {
			return err
		}
		for _, c := range calls {
			if c.Instance == in.Name && c.Script == script && c.What == what {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s %s of %s never came: %w; there were %v", script, what, in.Name, ctx.Err(), calls)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ForgetCalls empties the notes.
func (s *Shop) ForgetCalls() {
	for _, in := range s.Instances() {
		_ = os.Remove(in.Path(dataDir + "/calls"))
	}
}

// Writer orders one thing after another, each from the next front. An order
// that was refused is tried again until it is taken.
type Writer struct {
	cancel context.CancelFunc
	done   chan struct{}
	taken  []time.Time // of order i+1; read only when done is closed
}

// Write starts a writer whose first order is 1.
func (s *Shop) Write(ctx context.Context) *Writer {
	ctx, cancel := context.WithCancel(ctx)
	w := &Writer{cancel: cancel, done: make(chan struct{})}
	go w.run(ctx, s.Web)
	return w
}

func (w *Writer) run(ctx context.Context, fronts []*instances.Instance) {
	defer close(w.done)
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for try := 0; ctx.Err() == nil; try++ {
		url := fmt.Sprintf("http://%s:8080/orders/%d", fronts[try%len(fronts)].Addr, len(w.taken)+1)
		// Not bound to ctx: an order that was begun is not left half written.
		resp, err := client.Post(url, "", nil)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err == nil && resp.StatusCode == http.StatusOK {
			w.taken = append(w.taken, time.Now())
		}
		time.Sleep(3 * time.Millisecond)
	}
}

// Stop ends the writer, and returns when each of its orders was taken: order
// i+1 at index i.
func (w *Writer) Stop() []time.Time {
	w.cancel()
	<-w.done
	return w.taken
}
