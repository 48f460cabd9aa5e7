//go:build fleettest

package fleet

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/api/client"
	"lockstep/internal/pgtest"
)

var (
	nemesisFor  = flag.Duration("nemesis", time.Minute, "how `LONG` the nemesis does harm")
	nemesisSeed = flag.Uint64("seed", 0, "of what the nemesis does; 0 is a new one")
)

// nemesis does harm to a fleet.
type nemesis struct {
	*site
	rand    *rand.Rand
	workers []*member
	servers []*member
	asked   sync.WaitGroup
	mu      sync.Mutex
	began   map[lockstep.RunID]string // run -> deployment
	refused map[lockstep.Kind]int
	harm    map[string]int
}

// member is a worker or a server that can be started again.
type member struct {
	name, zone string
	*process
	svc *client.Client
}

// TestNemesis: several deployments, workers and servers, to which anything happens; in the
// end nothing is locked, all runs have ended, no script ran twice in a run, no barrier was
// broken, and no audit finds a broken promise.
//
//fault:fleet-nemesis workers, servers, Temporal and sessions at the database are killed, stopped and cut off at random while backups of several deployments run | all runs end, nothing stays locked, no script runs twice, `runs audit` is clean
func TestNemesis(t *testing.T) {
	seed := *nemesisSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d -nemesis %s", seed, *nemesisFor)
	n := &nemesis{
		site: newSite(t, "shop:eu-1", "bank:eu-1", "post:eu-2", "mill:eu-2"), rand: rand.New(rand.NewPCG(seed, 1)),
		began: map[lockstep.RunID]string{}, refused: map[lockstep.Kind]int{}, harm: map[string]int{},
	}
	n.servers = []*member{{name: "server", process: n.server, svc: n.svc}, {name: "server-2"}}
	n.secondServer()
	for _, w := range []string{"eu-1", "eu-1", "eu-2", "eu-2"} {
		m := &member{name: fmt.Sprint("worker-", len(n.workers)), zone: w}
		m.process = n.worker(m.name, w)
		n.workers = append(n.workers, m)
	}
	until := time.Now().Add(*nemesisFor)
	for i, d := range n.deployments {
		d.slow(t)
		n.asked.Go(func() { n.asks(d.name, rand.New(rand.NewPCG(seed, uint64(2+i))), until) })
	}
	for time.Now().Before(until) {
		n.once()
		time.Sleep(time.Duration(200+n.rand.IntN(1200)) * time.Millisecond)
	}
	n.asked.Wait()
	n.peace()
	t.Logf("harm: %v; %d runs began; refused: %v", n.harm, len(n.began), n.refused)
}

// secondServer has the first one's pepper, as all servers of a database do.
func (n *nemesis) secondServer() {
	n.t.Helper()
	pepper, err := os.ReadFile(filepath.Join(n.dir, "server", "state", "pepper"))
	if err == nil {
		n.config("server-2")
		err = os.MkdirAll(filepath.Join(n.dir, "server-2", "state"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(n.dir, "server-2", "state", "pepper"), pepper, 0o600)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.servers[1].process, n.servers[1].svc = n.serveAs("server-2")
}

// once does one harm.
func (n *nemesis) once() {
	n.t.Helper()
	w, s := n.workers[n.rand.IntN(len(n.workers))], n.servers[n.rand.IntN(2)]
	what := []string{"cancel", "kill a worker", "kill a worker", "stop a worker", "pause a worker", "end a session", "kill a server", "kill Temporal"}[n.rand.IntN(8)]
	n.harm[what]++
	switch what {
	case "cancel":
		n.cancels(s.svc)
	case "kill a worker":
		w.kill()
		w.process = n.worker(w.name, w.zone)
	case "stop a worker":
		w.signal(syscall.SIGTERM)
		w.ended()
		w.process = n.worker(w.name, w.zone)
	case "pause a worker":
		w.signal(syscall.SIGSTOP)
		time.Sleep(time.Duration(n.rand.IntN(9000)) * time.Millisecond)
		w.signal(syscall.SIGCONT)
	case "end a session":
		n.endSession(w.process)
	case "kill a server":
		s.kill()
		p, svc := n.serveAs(s.name)
		n.mu.Lock()
		s.process, s.svc = p, svc
		n.mu.Unlock()
	case "kill Temporal":
		n.temporal.kill()
		time.Sleep(time.Duration(n.rand.IntN(3000)) * time.Millisecond)
		n.temporal.begin(n.t)
	}
}

// asks asks for backups of a deployment, one or the other server, again and again.
func (n *nemesis) asks(name string, random *rand.Rand, until time.Time) {
	for time.Now().Before(until) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		id, err := n.face(random.IntN(2)).Start(ctx, lockstep.Request{Operation: lockstep.OperationBackup, Deployment: name})
		cancel()
		n.mu.Lock()
		if err != nil {
			n.refused[lockstep.KindOf(err)]++
		} else {
			n.began[id] = name
		}
		n.mu.Unlock()
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
	}
}

// face is a server, as clients see it now.
func (n *nemesis) face(i int) *client.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.servers[i].svc
}

// cancels cancels what runs, where it can.
func (n *nemesis) cancels(svc *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	runs, _ := svc.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
	for _, r := range runs {
		_ = svc.Cancel(ctx, r.ID, "the nemesis")
	}
}

// peace starts what is gone, waits until all has ended, and judges.
func (n *nemesis) peace() {
	n.t.Helper()
	n.svc = n.servers[0].svc
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	await(n.t, "all runs have ended", func() bool {
		open, err := n.svc.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
		return err == nil && len(open) == 0
	})
	all, err := n.svc.Runs(ctx, lockstep.RunFilter{})
	if err != nil {
		n.t.Fatal(err)
	}
	known := map[lockstep.RunID]bool{}
	for _, r := range all {
		known[r.ID] = true
		audit, err := n.svc.Audit(ctx, r.ID)
		if err != nil || len(audit.Broken) > 0 {
			n.t.Errorf("audit of %s: %v, broken: %v", r.ID, err, audit.Broken)
		}
	}
	for id, name := range n.began {
		if !known[id] {
			n.t.Errorf("%s of %s was begun, and nobody knows it", id, name)
		}
	}
	for _, d := range n.deployments {
		if locked := d.locked(); len(locked) > 0 {
			n.t.Errorf("still locked: %v", locked)
		}
		d.judgeScripts(n.t)
		id := n.started(d.name) // nothing is busy any more
		if run := n.end(id); run.Ending.State != lockstep.RunSucceeded {
			n.t.Errorf("the last backup of %s ended %s: %v", d.name, run.Ending.State, run.Failures)
		}
	}
}

// endSession ends a process's sessions that own something, as the database does when a
// host is gone.
func (s *site) endSession(p *process) {
	s.t.Helper()
	pgtest.Exec(s.t, s.pg, `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN journal_owners o
		ON l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = o.lock
		WHERE o.owner LIKE $1`, fmt.Sprintf("%% pid %d since %%", p.cmd.Process.Pid))
}

// slow makes each script take a while.
func (d *deployment) slow(t *testing.T) {
	t.Helper()
	for _, i := range d.instances {
		if err := os.WriteFile(filepath.Join(i.root, "slow"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// judgeScripts says what scripts did that they must not: nothing but what unlocks runs
// twice in a run, and no barrier is broken.
func (d *deployment) judgeScripts(t *testing.T) {
	t.Helper()
	began := map[string]int{} // run and step
	for _, line := range d.truth(t) {
		f := strings.Fields(line)
		if len(f) > 0 && f[0] == "broken" {
			t.Error(line)
		}
		if len(f) == 4 && f[0] == "begin" && !strings.HasSuffix(f[2], "-unlock") {
			step, _, _ := strings.Cut(f[1], "@") // of any try
			began[step]++
		}
	}
	for what, n := range began {
		if n > 1 {
			t.Errorf("%s ran %d times", what, n)
		}
	}
}
