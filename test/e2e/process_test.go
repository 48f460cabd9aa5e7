//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a started orchestrator.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{}
	t              *testing.T
	site           *site
}

// output can be read while it is being written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// result is an ended one.
type result struct {
	code           int
	stdout, stderr string
	run            run
}

// run is the part of a run's JSON that tests look at.
type run struct {
	ID, State, Data, Locks, Backup string
	Error                          *string
	LockWindow                     float64 `json:"lock_window_seconds"`
	Steps                          []struct {
		ID, Stage, Instance, Job, Script, State, Outcome string
		StartedAt                                        *time.Time `json:"started_at"`
		EndedAt                                          *time.Time `json:"ended_at"`
		Attempt                                          int
	}
	Artifacts []struct {
		Instance, Job string
		Bytes         int64
	}
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns how it ended, with the run if it printed one as JSON.
func (p *process) wait() result {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.stuck()
	}
	r := result{code: p.cmd.ProcessState.ExitCode(), stdout: p.stdout.String(), stderr: p.stderr.String()}
	if strings.HasPrefix(r.stdout, "{") {
		if err := json.Unmarshal([]byte(r.stdout), &r.run); err != nil {
			p.t.Fatalf("read the run: %v\n%s", err, r.stdout)
		}
	}
	return r
}

// patience is how long any command may take here.
const patience = 100 * time.Second

// stuck writes down what a command that does not end is doing, and what its
// instances are, and kills it.
func (p *process) stuck() {
	p.t.Helper()
	for _, in := range p.site.Instances() {
		out, err := in.Sh(p.site.ctx, "ps axfww -o pid,ppid,sid,stat,etimes,args | cut -c1-200; ls -lR /run/lockstep; cat /var/vcap/data/shop/calls")
		p.t.Logf("%s: %s%v", in.Name, out, err)
	}
	_ = p.cmd.Process.Signal(syscall.SIGQUIT) // writes its goroutines to stderr
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.kill()
	}
	p.t.Errorf("lockstep %v did not end within %s", p.cmd.Args[3:], patience)
}

func (r result) String() string {
	out := r.stdout
	if r.run.ID != "" {
		out = fmt.Sprintf("run %s: state %s, data %s, locks %s\n", r.run.ID, r.run.State, r.run.Data, r.run.Locks)
	}
	return fmt.Sprintf("exit %d\nstdout: %s\nstderr: %s", r.code, out, r.stderr)
}

// says waits until the orchestrator has written that on stderr.
func (p *process) says(text string) {
	p.t.Helper()
	for end := time.Now().Add(60 * time.Second); !strings.Contains(p.stderr.String(), text); time.Sleep(time.Millisecond) {
		over := time.Now().After(end)
		select {
		case <-p.done:
			over = !strings.Contains(p.stderr.String(), text)
		default:
		}
		if over {
			p.kill()
			p.t.Fatalf("never said %q: %s", text, p.wait())
		}
	}
}
