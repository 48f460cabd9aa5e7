package demo

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"lockstep"
	"lockstep/serve"
	"lockstep/show"
)

// bringUp makes the deployment and opens the shop.
func (d *demonstration) bringUp(ctx context.Context) error {
	d.heading("A small shop comes up")
	if err := d.sample.ground.start(ctx, d.sample); err != nil {
		return err
	}
	if err := d.sample.layOut(); err != nil {
		return err
	}
	if web := d.sample.webs()[0]; web.local() {
		if err := runnable(web.path("jobs", "web", "bin", "metadata")); err != nil {
			return err
		}
	}
	if d.Sabotage != nil {
		if err := d.Sabotage(d.dir); err != nil {
			return err
		}
	}
	d.shop = openShop(d.sample)
	d.shop.opened.Store(true)
	d.print("In %s there are %d instances, each %s: three web servers, a database and a blob store. Customers order at\n"+
		"the web servers; each order is a blob and then a row in the database. They never\n"+
		"stop, so copying one and then the other would give a row too many or too few.\n", d.dir, len(d.sample.instances), d.sample.ground.each())
	return d.until(ctx, "the first orders", func() bool { return d.shop.number.Load() >= 25 })
}

func (d *demonstration) showPlan(ctx context.Context) error {
	d.heading("What a backup would do")
	return d.lockstep(ctx, "plan", "shop")
}

// backUp backs up while orders come in, and looks at the data itself when all
// is locked.
func (d *demonstration) backUp(ctx context.Context) error {
	d.heading("Backing up, while customers order")
	d.shop.await(d.testify)
	before := d.shop.number.Load()
	if err := d.lockstep(ctx, "backup", "shop"); err != nil {
		return err
	}
	if d.then == nil {
		return errors.New("the backup did not close all web servers at once")
	}
	after := d.shop.number.Load()
	if err := d.sample.clean(); err != nil {
		return err
	}
	if err := d.openAgain(ctx); err != nil {
		return err
	}
	if !d.sample.blobs.files.has("last-good") {
		return errors.New("the blob store was not told that the backup went well")
	}
	if err := d.readBackup(ctx); err != nil {
		return err
	}
	d.print("\nOrders when it began: %d. When the shop stood still: %d. When it was done: %d.\n"+
		"The shop stood still for %s (the lock window).\n", before, d.thenOrders, after, show.SpanOfSeconds(d.backup.LockWindow))
	return nil
}

// testify takes down what the data is. It is called while nothing can change it.
func (d *demonstration) testify() error {
	then, err := d.trees()
	if err != nil {
		return err
	}
	d.then, d.thenOrders = then, d.shop.number.Load()
	return nil
}

// trees are the data of each job.
func (d *demonstration) trees() (map[string]tree, error) {
	tables, err := d.sample.db.files.tree(tablesDir)
	if err != nil {
		return nil, err
	}
	blobs, err := d.sample.blobs.files.tree(blobsDir)
	if err != nil {
		return nil, err
	}
	return map[string]tree{"postgres": tables, "blobstore": blobs}, nil
}

// openAgain waits until each web server has taken one more order.
func (d *demonstration) openAgain(ctx context.Context) error {
	for _, web := range d.sample.webs() {
		was := d.shop.orders(web)
		if err := d.until(ctx, web.name()+" to take orders again", func() bool { return d.shop.orders(web) > was }); err != nil {
			return err
		}
	}
	return nil
}

// readBackup asks the orchestrator for the backup and its run.
func (d *demonstration) readBackup(ctx context.Context) error {
	return d.ask(ctx, func(svc lockstep.Service) error {
		var err error
		if d.backup, err = svc.Backup(ctx, "shop", "latest"); err != nil {
			return err
		}
		run, err := svc.Run(ctx, d.backup.Run)
		if err != nil {
			return err
		}
		d.backupRun = run.Report(time.Now())
		return nil
	})
}

// ask opens an orchestrator for some questions.
func (d *demonstration) ask(ctx context.Context, questions func(lockstep.Service) error) error {
	o, err := d.Open(ctx, serve.Options{ConfigPath: d.sample.config(), Getenv: d.Getenv, Version: d.Version})
	if err != nil {
		return err
	}
	err = questions(o.Service)
	if o.Close != nil {
		err = errors.Join(err, o.Close())
	}
	return err
}

// destroy sends the customers home and removes the data. What lies there in its
// place has to go when the data comes back.
func (d *demonstration) destroy(context.Context) error {
	d.heading("Disaster: the data of all instances is gone")
	d.shop.sendHome()
	if _, err := d.shop.books.consistent(); err != nil {
		return fmt.Errorf("the shop's own books are wrong before anything was lost: %w", err)
	}
	d.print("\n")
	for _, i := range []*instance{d.sample.db, d.sample.blobs} {
		d.print("$ %s\n", i.files.removal("data"))
		if err := i.files.remove("data"); err != nil {
			return err
		}
	}
	blobs := d.sample.blobs.files
	if err := blobs.makeDir(path.Join(blobsDir, "orders")); err != nil {
		return err
	}
	if err := blobs.write(path.Join(blobsDir, "orders", "junk"), []byte("not an order\n"), 0o666); err != nil {
		return err
	}
	d.print("\nNo row and no blob is left of %d orders.\n", d.shop.number.Load())
	return nil
}

func (d *demonstration) restore(ctx context.Context) error {
	d.heading("Restoring")
	return d.lockstep(ctx, "restore", "shop", "latest", "--yes")
}
