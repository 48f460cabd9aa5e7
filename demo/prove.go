package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lockstep"
	"lockstep/show"
)

// prove compares what is there now with what was there when the shop stood
// still, and with what the backup holds.
func (d *demonstration) prove(ctx context.Context) error {
	d.heading("Is it all back?")
	now, err := d.trees()
	if err != nil {
		return err
	}
	d.print("\n")
	for _, i := range []*instance{d.sample.db, d.sample.blobs} {
		if err := same(i.name(), d.then[i.job], now[i.job]); err != nil {
			return err
		}
		d.proved("%s: all of %d files, folders and links are as they were when the shop stood still:\n"+
			"    names, modes, owners, times, links and every byte", i.name(), len(now[i.job]))
	}
	for _, question := range []func(context.Context, map[string]tree) error{
		d.asRecorded, d.ofOneMoment, d.nothingLeft, d.promisesKept, d.openForBusiness,
	} {
		if err := question(ctx, now); err != nil {
			return err
		}
	}
	d.print("\nThe shop stood still for %s, %s of it Lockstep's overhead; the rest were its scripts.\n",
		show.SpanOfSeconds(d.backup.LockWindow), show.SpanOfSeconds(*d.backupRun.Overhead))
	return nil
}

func (d *demonstration) proved(format string, args ...any) {
	d.print("%s %s\n", show.Palette{On: d.Color}.Good("yes"), fmt.Sprintf(format, args...))
}

// same is an error unless the trees are equal.
func same(what string, was, is tree) error {
	if len(was) == 0 {
		return fmt.Errorf("%s: there is nothing to compare with", what)
	}
	diff := was.differences(is)
	if len(diff) == 0 {
		return nil
	}
	const most = 10
	more := ""
	if len(diff) > most {
		more = fmt.Sprintf("\nand %d more", len(diff)-most)
		diff = diff[:most]
	}
	return fmt.Errorf("%s is not what it was:\n%s%s", what, strings.Join(diff, "\n"), more)
}

// asRecorded compares with the tar files of the backup.
func (d *demonstration) asRecorded(ctx context.Context, now map[string]tree) error {
	folders := map[string]string{"postgres": "tables", "blobstore": "blobs"}
	err := d.ask(ctx, func(svc lockstep.Service) error {
		for job, is := range now {
			at := slices.IndexFunc(d.backup.Artifacts, func(a lockstep.Artifact) bool { return a.Job == job })
			if at < 0 {
				return fmt.Errorf("backup %s has no artifact of %s", d.backup.ID, job)
			}
			r, err := svc.OpenArtifact(ctx, d.backup.ID, d.backup.Artifacts[at].Name)
			if err != nil {
				return err
			}
			kept, err := treeOfTar(r, folders[job])
			if err := errors.Join(err, r.Close()); err != nil {
				return err
			}
			if err := same(job+", compared with the backup,", kept, is); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		d.proved("they are also what the tar files of the backup hold")
	}
	return err
}

// ofOneMoment checks that no job has a record that another should have had.
func (d *demonstration) ofOneMoment(context.Context, map[string]tree) error {
	orders, err := d.shop.books.consistent()
	if err != nil {
		return fmt.Errorf("database and blob store are not of one moment: %w", err)
	}
	if orders != d.thenOrders {
		return fmt.Errorf("%d orders are back, there were %d", orders, d.thenOrders)
	}
	d.proved("database and blob store are of one moment: orders 1 to %d are in both, others in neither", orders)
	return nil
}

// nothingLeft looks for what runs should have taken away.
func (d *demonstration) nothingLeft(context.Context, map[string]tree) error {
	if err := d.sample.clean(); err != nil {
		return err
	}
	d.proved("nothing is locked, and no artifact was left on an instance")
	return nil
}

// clean is an error if something is locked, or an artifact was left.
func (s *sample) clean() error {
	for _, i := range s.instances {
		for _, name := range []string{"read-only", "closing", "pending"} {
			if i.files.has(name) {
				return fmt.Errorf("%s was left on %s", name, i.name())
			}
		}
		left, err := i.files.list("store")
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("artifact %s was left on %s", left[0], i.name())
		}
	}
	return nil
}

// promisesKept has the auditor judge every run.
func (d *demonstration) promisesKept(ctx context.Context, _ map[string]tree) error {
	return d.ask(ctx, func(svc lockstep.Service) error {
		runs, err := svc.Runs(ctx, lockstep.RunFilter{Deployment: "shop"})
		if err != nil {
			return err
		}
		for _, run := range runs {
			report, err := svc.Audit(ctx, run.ID)
			if err != nil {
				return err
			}
			if len(report.Broken) > 0 {
				return fmt.Errorf("run %s (%s) broke a promise: %s", run.ID, run.Operation, strings.Join(report.Broken, "; "))
			}
		}
		d.proved("the auditor found no broken promise in the journal of %s", show.Plural(len(runs), "run"))
		return nil
	})
}

// openForBusiness lets the customers in again, with the orders that are back.
func (d *demonstration) openForBusiness(ctx context.Context, _ map[string]tree) error {
	d.shop.number.Store(d.thenOrders)
	d.shop.opened.Store(true)
	if err := d.openAgain(ctx); err != nil {
		return err
	}
	d.proved("every web server takes orders again")
	return nil
}

// farewell says what to try next.
func (d *demonstration) farewell() {
	if !d.Keep {
		d.heading("What next")
		d.print("\nAll of it is removed now. To look around in it, and to try more, keep it:\n\n  %[1]s demo%[2]s --keep\n\n"+
			"For a deployment of your own, begin with:\n\n  %[1]s config generate\n", again(), d.sample.ground.flag())
		return
	}
	d.heading("It is yours now, until Ctrl-C here")
	lockstep := ourselves() + " --config " + shellWord(d.sample.config())
	at, slow, closed := d.sample.ground.look(d.sample)
	d.print("\nThe customers go on ordering. In another terminal, look around:\n\n"+
		"  %[2]s\n"+
		"  %[1]s backup shop\n"+
		"  %[1]s backups list\n"+
		"  %[1]s restore shop latest\n\n"+
		"Make the database slow to dump, kill the orchestrator while all is locked, and\n"+
		"have it put right:\n\n"+
		"  %[3]s\n"+
		"  %[1]s backup shop & sleep 5; kill -9 $!\n"+
		"  %[4]s\n"+
		"  %[1]s recover shop\n"+
		"  %[1]s runs list\n\n"+
		"Or do nothing: the instances unlock by themselves, within a minute or so.\n"+
		"After Ctrl-C the instances are gone and the folder stays: rm -rf %[5]s\n", lockstep, at, slow, closed, shellWord(d.dir))
}

// stay waits for a signal.
func (d *demonstration) stay(ctx context.Context) {
	d.shop.pace.Store(int64(slowPace))
	select {
	case <-d.Signals:
	case <-ctx.Done():
	}
	d.print("\nStopped.\n")
}
