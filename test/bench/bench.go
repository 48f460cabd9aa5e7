package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// bench is one run of the measurements.
type bench struct {
	lockstep string
	bbr      string // "" leaves its cases out
	image    string // of containers; "" leaves their cases out
	base     string // where dir is made
	turns    int
	reports  string // where to keep the JSON of each run; "" is nowhere
	// Sizes of the cases' data.
	big, part, long int64
	swarms          []int

	dir  string // all files of this run
	keys keys
	rows []row

	once    sync.Once
	mu      sync.Mutex
	closers []func() // called in reverse order
	fleetUp *fleet   // the one whose CPU time counts
}

// measured is one group of cases that share their instances.
type measured struct {
	name string
	root bool // needs instances, and so root
	run  func(*bench) error
}

var groups = []measured{
	{"one", true, oneInstance},
	{"one-sha256sum", true, oneInstanceWithoutOpenSSL},
	{"eight", true, eightInstances},
	{"fifty", true, fiftyInstances},
	{"script", true, scriptOverhead},
	{"small", true, smallFiles},
	{"link", true, longLink},
	{"narrow", true, narrowLink},
	{"swarm", false, swarms},
	{"bbr-fifty", true, bbrFiftyInstances},
	{"bbr-one", true, bbrOneInstance},
	withContainers("container", oneContainer),
	withContainers("containers", fiftyContainers),
	withContainers("container-script", scriptInContainer),
	{"server", false, servers},
	{"repository", false, repositories},
}

func (b *bench) open() (err error) {
	if b.dir, err = os.MkdirTemp(b.base, "lockstep-bench-"); err != nil {
		return err
	}
	b.atEnd(func() { os.RemoveAll(b.dir) })
	b.keys, err = newKeys(filepath.Join(b.dir, "keys"))
	return err
}

// run measures the groups that match. One that fails does not keep the others
// from being measured.
func (b *bench) run(match *regexp.Regexp) error {
	var errs []error
	for _, g := range groups {
		if !match.MatchString(g.name) {
			continue
		}
		if g.root && os.Getuid() != 0 {
			b.rows = append(b.rows, row{Case: g.name, Note: "SKIPPED: real instances need root (mount namespaces)"})
			continue
		}
		began := time.Now()
		mark := len(b.closers)
		if err := g.run(b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g.name, err))
		}
		b.closeDownTo(mark)
		fmt.Fprintf(os.Stderr, "%s: %s (load %s)\n", g.name, time.Since(began).Round(time.Second), load())
	}
	return errors.Join(errs...)
}

// atEnd has f called when the group ends, or the program.
func (b *bench) atEnd(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closers = append(b.closers, f)
}

func (b *bench) closeDownTo(mark int) {
	b.mu.Lock()
	later := slices.Clone(b.closers[mark:])
	b.closers = b.closers[:mark]
	b.mu.Unlock()
	for _, f := range slices.Backward(later) {
		f()
	}
}

func (b *bench) close() { b.once.Do(func() { b.closeDownTo(0) }) }

// folder makes a new folder of that name, which goes when the group ends.
func (b *bench) folder(name string) (string, error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	b.atEnd(func() { os.RemoveAll(dir) })
	return dir, err
}

// turn measures ours and the reference, the order changing from turn to turn.
func (b *bench) turn(r *row, i int, reference, ours func() (float64, error)) error {
	var err error
	measure := func(into *[]float64, cpu *[]float64, f func() (float64, error)) {
		if err != nil {
			return
		}
		before := b.cpu()
		var x float64
		x, err = f()
		*into, *cpu = append(*into, x), append(*cpu, b.cpu()-before)
	}
	if i%2 == 1 {
		measure(&r.Ours, &r.OurCPU, ours)
	}
	measure(&r.Reference, &r.ReferenceCPU, reference)
	if i%2 == 0 {
		measure(&r.Ours, &r.OurCPU, ours)
	}
	return err
}

// cpu is the CPU time so far of all processes that were started and have
// ended, and of all instances' too.
func (b *bench) cpu() float64 {
	var total float64
	if b.fleetUp != nil {
		b.fleetUp.calm()
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
		}
	}
	if b.fleetUp != nil {
		total += b.fleetUp.spent()
	}
	return total
}

// seconds measures one call.
func seconds(f func() error) (float64, error) {
	began := time.Now()
	err := f()
	return time.Since(began).Seconds(), err
}

// load is the machine's load average of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil || len(text) == 0 {
		return "?"
	}
	var one string
	_, _ = fmt.Sscan(string(text), &one)
	return one
}
