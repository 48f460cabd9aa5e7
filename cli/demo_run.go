package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lockstep"
)

// demonstrate is the Demo of the real Setup.
func demonstrate(ctx context.Context, d Demonstration) error {
	return (&demo{Demonstration: d}).run(ctx)
}

// demo is one demonstration. Its fields are filled in by its steps.
type demo struct {
	Demonstration
	// sabotage, of tests, breaks the deployment before it is brought up.
	sabotage func(*demoSample) error

	dir    string // absolute
	sample *demoSample
	shop   *demoShop
	number int // of the last heading

	// then is the data as it was while every web server was closed for the
	// backup, by job, and thenOrders the orders that were in.
	then       map[string]tree
	thenOrders int64
	backup     lockstep.Backup
	backupRun  lockstep.RunReport
}

// run shows everything, and leaves nothing behind unless it was asked to.
func (d *demo) run(ctx context.Context) (err error) {
	if err := missingTools(d.Getenv("PATH")); err != nil {
		return err
	}
	remove, err := d.makeDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	d.sample = newDemoSample(d.dir)
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
func (d *demo) makeDir() (remove func() error, err error) {
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
		return nil, usage("name an empty folder, or one that is not there yet", "demo: %s is not empty", d.dir)
	}
	return d.remover(removeInside), nil
}

func (d *demo) remover(remove func(string) error) func() error {
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
func (d *demo) takeDown() error {
	if d.shop != nil {
		d.shop.close()
	}
	return d.sample.stop()
}

func (d *demo) shopErr() error {
	if d.shop == nil {
		return nil
	}
	return d.shop.err()
}

// stopped is an error once a signal came or ctx ended. While a command line
// runs, it takes the signals itself.
func (d *demo) stopped(ctx context.Context) error {
	select {
	case sig := <-d.Signals:
		return &lockstep.Error{Op: "demo stopped", Err: errors.New(sig.String())}
	default:
		return ctx.Err()
	}
}

// lockstep runs one command line on the sample deployment, as a user would.
func (d *demo) lockstep(ctx context.Context, args ...string) error {
	d.print("\n$ lockstep --config %s %s\n\n", shellWord(d.sample.config()), strings.Join(args, " "))
	code := d.Run(ctx, append([]string{"--config", d.sample.config()}, args...)...)
	if code != 0 {
		return fmt.Errorf("lockstep %s: exit code %d", strings.Join(args, " "), code)
	}
	return nil
}

// until waits for something that will be so in a moment.
func (d *demo) until(ctx context.Context, what string, so func() bool) error {
	for deadline := time.Now().Add(30 * time.Second); !so(); rest(ctx, checkEvery) {
		if err := errors.Join(d.stopped(ctx), d.shopErr()); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain for %s", what)
		}
	}
	return nil
}

func (d *demo) print(format string, args ...any) { fmt.Fprintf(d.Stdout, format, args...) }

// heading begins the next step.
func (d *demo) heading(text string) {
	d.number++
	if d.number > 1 {
		d.print("\n")
	}
	d.print("%s\n", palette{on: d.Color}.strong(fmt.Sprintf("== %d. %s", d.number, text)))
}
