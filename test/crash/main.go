// Command crash kills the program, for real and again and again: backups,
// restores, recoveries, cleanups and the server, at each fault point and at
// random moments, once, twice and three times in a row. After each time it
// compares what really happened on the instances with the journal.
//
// It builds the program with the tag "faultpoints", needs no root, and touches
// nothing but a folder of its own and 127.0.0.1.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// main kills.
//
//fault:18 kill -9 at 40 fault points and at random moments of backups, restores, recoveries, cleanups and the server | the next recovery, cleanup, backup or start of the server unlocks and ends what was left; no record that was told is lost; after each kill `runs audit` says what the instances say
//fault:19 kill -9 of what recovers, twice and three times in a row | the next one goes on where it was
//fault:44 kill -9 in the middle of deleting backups | every listed backup is whole; the next deletion finishes
//fault:61 kill -9 of restores at every fault point | no restore script runs twice; all is unlocked
func main() {
	kills := flag.Int("kills", 100, "how many `KILLS` in all, at least")
	each := flag.Int("each", 1, "how many kills at each fault point, at least")
	workers := flag.Int("workers", 3, "how many deployments at once")
	patience := flag.Duration("patience", 2*time.Minute, "how long a process may take before it is said to hang")
	most := flag.Duration("for", 90*time.Minute, "how long all of it may take")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what is chosen")
	shell := flag.Bool("shell", false, "build no helper in: the instances' shells do all")
	keep := flag.Bool("keep", false, "keep the folders of what went wrong")
	flag.Parse()
	t := &tally{want: *kills, each: *each, patience: *patience, out: os.Stdout, at: map[string]int{"": 0}, chains: map[int]int{}}
	b := &bench{tally: t, workers: *workers, seed: *seed, keep: *keep, shell: *shell, until: time.Now().Add(*most)}
	if err := b.run(); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// bench runs cycles in several worlds.
type bench struct {
	*tally
	workers int
	seed    uint64
	keep    bool
	shell   bool // there is no helper
	until   time.Time
	dir     string
	binary  string
}

func (b *bench) run() (err error) {
	names, err := points(".")
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "lockstep-crash-"); err != nil {
		return err
	}
	if !b.keep {
		defer os.RemoveAll(b.dir)
	}
	defer b.endWithMe()()
	if b.binary, err = build(b.dir, !b.shell); err != nil {
		return err
	}
	if err := b.measureAll(names); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "seed %d, %d fault points; a backup takes %s\n", b.seed, len(names), b.profiles["backup"].took.Round(time.Millisecond))
	start := time.Now()
	defer b.tellSoFar(start)()
	var all sync.WaitGroup
	for n := range b.workers {
		all.Go(func() { b.work(n) })
	}
	all.Wait()
	b.report(time.Since(start))
	switch {
	case b.wrong > 0 || b.hangs > 0:
		return fmt.Errorf("%d cycles went wrong, %d processes hung", b.wrong, b.hangs)
	case !b.done():
		return fmt.Errorf("the time was over before there were kills enough")
	}
	return nil
}

// soFarEvery is how often the figures are told while it goes on.
const soFarEvery = 5 * time.Minute

func (b *bench) tellSoFar(start time.Time) (stop func()) {
	tick, over := time.NewTicker(soFarEvery), make(chan struct{})
	go func() {
		for {
			select {
			case <-tick.C:
				fmt.Fprint(b.out, "so far: ")
				b.report(time.Since(start))
			case <-over:
				return
			}
		}
	}()
	return func() {
		tick.Stop()
		close(over)
	}
}

// endWithMe ends the processes that were started when this one is told to end.
func (b *bench) endWithMe() (stop func()) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-told; !ok {
			return
		}
		children.endAll()
		if !b.keep {
			_ = os.RemoveAll(b.dir)
		}
		os.Exit(1)
	}()
	return func() {
		signal.Stop(told)
		close(told)
	}
}

// measureAll learns which operation comes to which point: one must, to each.
func (b *bench) measureAll(names []string) error {
	w, err := newWorld(filepath.Join(b.dir, "measure"), b.binary)
	defer w.close()
	if err != nil {
		return err
	}
	if b.profiles, err = w.measure(b.patience); err != nil {
		return err
	}
	var missed []string
	for _, name := range names {
		b.at[name] = 0
		if len(b.hitting(name, "")) == 0 {
			missed = append(missed, name)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("no operation comes to the fault points %s", strings.Join(missed, ", "))
	}
	return nil
}

// begin makes something to restore, and lets a server look at the world once:
// what ended before its first look is not news to anybody.
func (w *world) begin(patience time.Duration) error {
	for _, o := range []operation{named("backup"), named("server")} {
		c, err := w.perform(o, aim{}, "", patience)
		if err != nil {
			return err
		}
		wrong, err := w.judge(c.acknowledged(), o.server)
		if err != nil {
			return err
		}
		if code := c.code(); code != 0 || len(wrong) > 0 {
			return fmt.Errorf("first %s: exit %d, %q\n%s", o.name, code, wrong, tail(c.stderr.String(), 4000))
		}
	}
	return nil
}

// work runs cycles until there are enough. A world where something went wrong
// is left, and another made.
func (b *bench) work(n int) {
	r := rand.New(rand.NewPCG(b.seed, uint64(n)))
	for try := 0; !b.over() && try < 20; try++ {
		if err := b.inWorld(fmt.Sprintf("%d.%d", n, try), r); err != nil {
			b.fail([]string{"make a world"}, err)
		}
	}
}

func (b *bench) over() bool { return b.done() || time.Now().After(b.until) }

func (b *bench) inWorld(name string, r *rand.Rand) error {
	w, err := newWorld(filepath.Join(b.dir, name), b.binary)
	defer w.close()
	if err != nil {
		return err
	}
	if err := w.begin(b.patience); err != nil {
		return err
	}
	for !b.over() {
		c := &cycle{world: w, tally: b.tally, rand: r}
		if err := c.run(); err != nil {
			b.fail(append([]string{"in " + w.dir}, c.told...), err)
			return nil
		}
	}
	return nil
}
