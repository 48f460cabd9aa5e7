package bbr

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"lockstep"
)

// letGoTimeout bounds how long we tell the instances to unlock by themselves
// before the program ends.
const letGoTimeout = 5 * time.Second

// enter makes an orchestrator known to whoever lets go of all runs.
func (j *job) enter(o Orchestrator, s *shared) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.opened = append(j.opened, func(ctx context.Context) {
		_ = o.LetGo(ctx) // the leases do it where we could not
		s.leave(ctx, j.Setup.RemoveUser)
	})
}

// began makes a run known to whoever cancels all runs.
func (j *job) began(o Orchestrator, id lockstep.RunID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cancels = append(j.cancels, func(by string) { _ = o.Service.Cancel(context.Background(), id, by) })
}

// watchSignals answers signals until stop is called.
func (j *job) watchSignals() (stop func()) {
	done := make(chan struct{})
	d := &dialogue{job: j, done: done, lines: make(chan reply)}
	go d.listen()
	return func() { close(done) }
}

// dialogue is what signals open. Its methods are called by one goroutine.
type dialogue struct {
	*job
	done    <-chan struct{}
	stdin   *bufio.Reader
	lines   chan reply
	reading bool // somebody waits for a line that was not asked for again
	pending int  // SIGINTs that came while a question was open
}

type reply struct {
	line string
	err  error
}

func (d *dialogue) listen() {
	d.stdin = bufio.NewReader(d.Stdin)
	for {
		select {
		case s := <-d.Signals:
			if d.answer(s) {
				return
			}
		case <-d.done:
			return
		}
	}
}

// answer answers one signal and reports whether the program ends.
func (d *dialogue) answer(s os.Signal) (leaves bool) {
	if d.action == actionCheck {
		d.cancelAll(s.String())
		return false
	}
	for d.pending = 1; s == os.Interrupt && d.pending > 0; d.pending-- {
		if d.confirmed() {
			s = nil
			break
		}
	}
	if s == os.Interrupt {
		return false
	}
	fmt.Fprintln(d.Stdout, d.advice())
	d.leave()
	return true
}

// confirmed asks whether to stop; a signal that does not ask answers yes.
// Nothing else is written to stdout until there is an answer; the work goes on
// meanwhile.
func (d *dialogue) confirmed() bool {
	what := "backup"
	if d.action == actionRestore {
		what = "restore"
	}
	d.log.pause()
	fmt.Fprintf(d.Stdout, "\nStopping a %s can leave the system in bad state. Are you sure you want to cancel? [yes/no]\n", what)
	r, ended := d.read()
	switch {
	case ended:
		return true
	case r.err != nil:
		fmt.Fprintf(d.Stdout, "\nCouldn't read from Stdin, if you still want to stop the %s send SIGTERM.\n", what)
	case strings.EqualFold(strings.TrimSpace(r.line), "yes"):
		return true
	}
	d.log.resume()
	return false
}

// read waits for a line, or for a signal that ends the program.
func (d *dialogue) read() (r reply, ended bool) {
	if !d.reading {
		d.reading = true
		go func() {
			line, err := d.stdin.ReadString('\n')
			select {
			case d.lines <- reply{line, err}:
			case <-d.done:
			}
		}()
	}
	for {
		select {
		case r := <-d.lines:
			d.reading = false
			return r, false
		case s := <-d.Signals:
			if s != os.Interrupt {
				return reply{}, true
			}
			d.pending++
		case <-d.done:
			return reply{}, false
		}
	}
}

func (j *job) advice() string {
	if j.action == actionRestore {
		return adviceRestore
	}
	return adviceBackup
}

// left reports whether all runs were let go of.
func (j *job) left() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.leaving && j.action != actionCheck
}

// leave lets go of all runs and ends the job.
func (j *job) leave() {
	j.log.pause() // for good: what happens from here on is for the next command to tell
	ctx, cancel := context.WithTimeout(context.Background(), letGoTimeout)
	defer cancel()
	j.mu.Lock()
	opened := j.opened
	j.leaving = true
	j.mu.Unlock()
	done := make(chan struct{}, len(opened))
	for _, letGo := range opened {
		go func() {
			letGo(ctx)
			done <- struct{}{}
		}()
	}
	for range opened {
		<-done
	}
	j.exit <- lockstep.ExitError
}

// cancelAll cancels all runs, by way of letting go of everything.
func (j *job) cancelAll(by string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.leaving || len(j.cancels) == 0 { // the second time, or nothing has begun
		j.exit <- lockstep.ExitError
		return
	}
	j.leaving = true
	for _, cancel := range j.cancels {
		cancel(by)
	}
}

// untilLeft does the work, and ends early only when the program leaves.
func (j *job) untilLeft(work func() int) int {
	done := make(chan int, 1)
	go func() { done <- work() }()
	select {
	case code := <-j.exit:
		return code
	case code := <-done:
		// A job that ended because it was let go of has nothing to say.
		if j.left() {
			return <-j.exit
		}
		// Nor does a question that is open keep what happened to itself.
		j.log.resume()
		return code
	}
}
