package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lockstep"
	"lockstep/serve"
	"lockstep/show"
)

// Demonstration is what a demo is given to show itself with.
type Demonstration struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Signals        <-chan os.Signal
	Version        string
	Color          bool
	// Way is what the instances are; "" is WaySSH. Image is that of containers or pods.
	Way   Way
	Image string
	// Dir is where to bring it up: a folder that is empty or not there yet;
	// "" is a new temporary one.
	Dir string
	// Keep leaves the deployment up until a signal comes, and its folder after
	// that.
	Keep bool
	// Sabotage, of tests, breaks what lies in the demo's folder before it is
	// brought up. It may be nil.
	Sabotage func(dir string) error
	// Open is Setup.Open; Getenv looks up the environment.
	Open   func(ctx context.Context, o serve.Options) (serve.Orchestrator, error)
	Getenv func(string) string
	// Run runs another command line in this process, with the same streams,
	// and returns its exit code: Run(ctx, "--config", file, "backup", "shop").
	Run func(ctx context.Context, args ...string) int
}

// Run shows it all, and returns an error if anything is not as it should.
func Run(ctx context.Context, d Demonstration) error {
	return (&demonstration{Demonstration: d}).run(ctx)
}

// demonstration is one of them. Its fields are filled in by its steps.
type demonstration struct {
	Demonstration
	dir    string // absolute
	sample *sample
	shop   *shop
	number int // of the last heading

	// then is the data as it was while every web server was closed for the
	// backup, by job, and thenOrders the orders that were in.
	then       map[string]tree
	thenOrders int64
	backup     lockstep.Backup
	backupRun  lockstep.RunReport
}

// run shows everything, and leaves nothing behind unless it was asked to.
func (d *demonstration) run(ctx context.Context) (err error) {
	on := groundOf(d.Demonstration)
	if err := on.possible(ctx); err != nil {
		return err
	}
	remove, err := d.makeDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	d.sample = newSample(d.dir, on)
	defer func() { err = errors.Join(err, d.takeDown()) }()
	for _, step := range []func(context.Context) error{
		d.bringUp, d.showPlan, d.backUp, d.destroy, d.restore, d.prove,
	} {
		if err := d.stopped(ctx); err != nil {
			return err
		}
		if err := errors.Join(step(ctx), d.shopErr()); err != nil {
			return &lockstep.Error{Op: "demo", Err: err}
		}
	}
	d.farewell()
	if d.Keep {
		d.stay(ctx)
	}
	return nil
}

// makeDir makes the folder of the demo. remove removes it, unless it is kept.
func (d *demonstration) makeDir() (remove func() error, err error) {
	if d.Dir == "" {
		if d.dir, err = os.MkdirTemp("", "lockstep-demo-"); err != nil {
			return nil, &lockstep.Error{Op: "demo", Err: err, Hint: "choose another folder: --dir FOLDER"}
		}
		return d.remover(os.RemoveAll), nil
	}
	if d.dir, err = filepath.Abs(d.Dir); err != nil {
		return nil, err
	}
	err = os.Mkdir(d.dir, 0o700)
	if err == nil {
		return d.remover(os.RemoveAll), nil
	}
	inside, readErr := os.ReadDir(d.dir)
	switch {
	case readErr != nil:
		return nil, &lockstep.Error{Kind: lockstep.KindUsage, Op: "demo", Err: err, Hint: "name an empty folder, or one to make in a folder that exists"}
	case len(inside) > 0:
		return nil, &lockstep.Error{Kind: lockstep.KindUsage, Op: "demo", Err: fmt.Errorf("%s is not empty", d.dir), Hint: "name an empty folder, or one that is not there yet"}
	}
	return d.remover(removeInside), nil
}

func (d *demonstration) remover(remove func(string) error) func() error {
	return func() error {
		if d.Keep {
			d.print("\nWhat is left of it: %s\n", d.dir)
			return nil
		}
		return remove(d.dir)
	}
}

// removeInside empties a folder that was there before.
func removeInside(dir string) error {
	inside, err := os.ReadDir(dir)
	errs := []error{err}
	for _, e := range inside {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}

// takeDown stops the shop and the instances.
func (d *demonstration) takeDown() error {
	if d.shop != nil {
		d.shop.close()
	}
	return d.sample.ground.stop(d.sample)
}

func (d *demonstration) shopErr() error {
	if d.shop == nil {
		return nil
	}
	return errors.Join(d.shop.err(), d.sample.ground.err())
}

// stopped is an error once a signal came or ctx ended. While a command line
// runs, it takes the signals itself.
func (d *demonstration) stopped(ctx context.Context) error {
	select {
	case sig := <-d.Signals:
		return &lockstep.Error{Op: "demo stopped", Err: errors.New(sig.String())}
	default:
		return ctx.Err()
	}
}

// lockstep runs one command line on the sample deployment, as a user would.
func (d *demonstration) lockstep(ctx context.Context, args ...string) error {
	d.print("\n$ lockstep --config %s %s\n\n", shellWord(d.sample.config()), strings.Join(args, " "))
	code := d.Run(ctx, append([]string{"--config", d.sample.config()}, args...)...)
	if code != 0 {
		return fmt.Errorf("lockstep %s: exit code %d", strings.Join(args, " "), code)
	}
	return nil
}

// until waits for something that will be so in a moment.
func (d *demonstration) until(ctx context.Context, what string, so func() bool) error {
	for deadline := time.Now().Add(30 * time.Second); !so(); rest(ctx, d.sample.ground.poll()) {
		if err := errors.Join(d.stopped(ctx), d.shopErr()); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain for %s", what)
		}
	}
	return nil
}

func (d *demonstration) print(format string, args ...any) { fmt.Fprintf(d.Stdout, format, args...) }

// heading begins the next step.
func (d *demonstration) heading(text string) {
	d.number++
	if d.number > 1 {
		d.print("\n")
	}
	d.print("%s\n", show.Palette{On: d.Color}.Strong(fmt.Sprintf("== %d. %s", d.number, text)))
}
