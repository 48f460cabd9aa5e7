package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/api/client"
)

// operation is something that a process of the program does, and dies in.
type operation struct {
	name string
	args []string
	// dead: it is begun beside a run whose orchestrator is dead.
	dead bool
	// two: it needs two backups to be there.
	two bool
	// server: the process is a server, which is asked for a run.
	server bool
}

// accepting is a backup that counts also where a restore was left half done.
var accepting = operation{name: "backup", args: []string{"backup", "shop", "--accept-change", "-o", "json"}}

var operations = []operation{
	{name: "backup", args: []string{"backup", "shop", "-o", "json"}},
	{name: "restore", args: []string{"restore", "shop", "latest", "--yes"}},
	{name: "forget", args: []string{"backups", "forget", "--deployment", "shop", "--keep-last", "1", "--yes"}, two: true},
	{name: "recover", args: []string{"recover", "shop"}, dead: true},
	{name: "cleanup", args: []string{"cleanup", "shop"}, dead: true},
	{name: "server", server: true},
	{name: "server again", server: true, dead: true},
}

func named(name string) operation {
	return operations[slices.IndexFunc(operations, func(o operation) bool { return o.name == name })]
}

// perform does the operation in a process that is to be killed there, and
// returns when it has ended or was ended.
func (w *world) perform(o operation, a aim, log string, patience time.Duration) (*child, error) {
	if !o.server {
		c, err := w.start(a, log, append(slices.Clone(o.args), "--log-format", "json", "--verbose")...)
		if err == nil {
			c.wait(patience)
		}
		return c, err
	}
	c, err := w.serve(a, log)
	if err != nil {
		return c, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() { // who dies is asked no more
		<-c.done
		cancel()
	}()
	err = w.ask(ctx, c)
	select {
	case <-c.done:
		return c, nil
	default:
	}
	if err != nil { // there was time enough
		c.wait(0)
		return c, nil
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	c.wait(patience)
	return c, nil
}

func (w *world) serve(a aim, log string) (*child, error) {
	return w.start(a, log, "serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--verbose")
}

// ask has the server run what is scheduled, and waits until that has ended,
// nothing else runs, and whoever is to be told was told.
func (w *world) ask(ctx context.Context, c *child) error {
	svc, err := w.client(ctx, c)
	if err != nil {
		return err
	}
	defer svc.Close()
	for {
		// It is not ready yet, has not read its schedules yet, or the dead run is
		// in the way.
		_, err := svc.Schedules().Run(ctx, "shop", "")
		if err == nil {
			break
		}
		if !pause(ctx) {
			return err
		}
	}
	return w.quiet(ctx, svc)
}

// quiet waits until nothing runs, nothing is to be delivered, and all runs that
// were not judged yet have been looked at by the outbox.
func (w *world) quiet(ctx context.Context, svc *client.Client) error {
	for {
		all, err := svc.Notices().Deliveries(ctx, lockstep.DeliveryFilter{Limit: 200})
		// After the others: what was among them and still waits is among these.
		pending, err2 := svc.Notices().Deliveries(ctx, lockstep.DeliveryFilter{State: lockstep.DeliveryPending})
		runs, err3 := svc.Runs(ctx, lockstep.RunFilter{Limit: 50})
		done := errors.Join(err, err2, err3) == nil && len(pending) == 0
		for _, run := range runs {
			done = done && run.State != lockstep.RunRunning && (w.known[string(run.ID)] || tells(all, run.ID))
		}
		if done {
			return nil
		}
		if !pause(ctx) {
			return context.Cause(ctx)
		}
	}
}

func tells(all []lockstep.Delivery, id lockstep.RunID) bool {
	return slices.ContainsFunc(all, func(d lockstep.Delivery) bool { return d.Notice.Run == id })
}

// client is one of the server, once it listens and may begin runs.
func (w *world) client(ctx context.Context, c *child) (*client.Client, error) {
	for !strings.Contains(c.stdout.String(), "\n") {
		if !pause(ctx) {
			return nil, errors.New("the server does not listen")
		}
	}
	token, err := access.ReadAdminToken(filepath.Join(w.dir, "state"))
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{URL: strings.TrimSpace(c.stdout.String()), Token: token.Reveal()})
}

// pause waits for a moment; it reports false when there is nothing to wait for
// any more.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(10 * time.Millisecond):
		return true
	}
}

// settle brings the world to rest, as its user would: a server is started once
// more, or a recovery is run.
func (w *world) settle(server bool, patience time.Duration) (*child, error) {
	if !server {
		return w.perform(named("recover"), aim{}, "", patience)
	}
	c, err := w.serve(aim{}, "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	svc, err := w.client(ctx, c)
	if err == nil {
		defer svc.Close()
		err = w.quiet(ctx, svc)
	}
	if err != nil {
		c.wait(0)
		return c, fmt.Errorf("the server does not come to rest: %w", err)
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	c.wait(patience)
	return c, nil
}

// profile is how often an operation hits each point, and how long it takes.
type profile struct {
	hits map[string]int
	took time.Duration
}

// measure does every operation once and unharmed.
func (w *world) measure(patience time.Duration) (map[string]profile, error) {
	all := map[string]profile{}
	for _, o := range operations {
		if err := w.ready(o, patience); err != nil {
			return nil, err
		}
		if !o.dead { // what was before is not news to a server
			if _, err := w.story(); err != nil {
				return nil, err
			}
		}
		log := filepath.Join(w.dir, "hits")
		_ = os.Remove(log)
		c, err := w.perform(o, aim{}, log, patience)
		if err != nil {
			return nil, err
		}
		if c.code() != 0 {
			return nil, fmt.Errorf("%s: exit %d\n%s%s", o.name, c.code(), c.stdout.String(), c.stderr.String())
		}
		text, err := os.ReadFile(log)
		if err != nil {
			return nil, err
		}
		p := profile{hits: map[string]int{}, took: c.took}
		for _, name := range strings.Fields(string(text)) {
			p.hits[name]++
		}
		all[o.name] = p
	}
	return all, nil
}

// ready makes what the operation needs: a run whose orchestrator was killed in
// the middle, or two backups.
func (w *world) ready(o operation, patience time.Duration) error {
	switch {
	case o.dead:
		_, err := w.perform(named("backup"), aim{Point: "engine.intents.after", N: 4}, "", patience)
		return err
	case o.two:
		for range 2 {
			c, err := w.perform(accepting, aim{}, "", patience)
			if err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			if c.code() != 0 {
				return fmt.Errorf("backup: exit %d\n%s", c.code(), tail(c.stderr.String(), 4000))
			}
		}
	}
	return nil
}
