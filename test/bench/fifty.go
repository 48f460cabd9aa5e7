package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"lockstep/launcher"
	"lockstep/target"
	"lockstep/target/ssh"
)

// fiftyInstances is what many small instances cost: mostly connections and
// processes.
func fiftyInstances(b *bench) error {
	f, err := b.fleet("fifty", 50, true)
	if err != nil {
		return err
	}
	for _, in := range f.instances {
		if err := furnish(in.root, f.here, 64<<10); err != nil {
			return err
		}
	}
	d, err := f.deploy()
	if err != nil {
		return err
	}
	targets, closeAll, err := f.targets()
	if err != nil {
		return err
	}
	defer closeAll()
	usual := row{Case: "50 instances: backup / ssh true, 8 at a time", Unit: "s", Limit: 2, Kind: ratioAtMost}
	curve := row{Case: "50 instances: backup / ssh true, curve25519", Unit: "s", Limit: 4, Kind: ratioAtMost}
	window := row{Case: "50 instances: lock window / 3 x sudo true", Unit: "s", Limit: 3, Kind: ratioAtMost}
	share := row{Case: "50 instances: orchestrator's share of the lock window", Unit: "%", Kind: valueOnly}
	for i := range b.turns {
		var rep report
		if err := b.turn(&usual, i, f.trueEverywhere(), func() (took float64, err error) {
			took, rep, err = d.backup()
			return took, err
		}); err != nil {
			return err
		}
		plain, err := f.trueEverywhere("-o", "KexAlgorithms=curve25519-sha256")()
		if err != nil {
			return err
		}
		rounds, err := threeRounds(targets)
		if err != nil {
			return err
		}
		curve.Ours, curve.Reference = append(curve.Ours, usual.Ours[i]), append(curve.Reference, plain)
		window.Ours, window.Reference = append(window.Ours, rep.Window), append(window.Reference, rounds)
		share.Ours = append(share.Ours, 100*rep.Overhead/rep.Window)
	}
	b.rows = append(b.rows, usual, curve, window, share, d.memory("50 instances", 100))
	return nil
}

// trueEverywhere logs in to each instance once, eight at a time.
func (f *fleet) trueEverywhere(options ...string) func() (float64, error) {
	return func() (float64, error) {
		return seconds(func() error {
			return together(len(f.instances), 8, func(i int) error {
				return f.ssh(f.instances[i], "true", options...).Run()
			})
		})
	}
}

// targets opens a connection to each instance.
func (f *fleet) targets() ([]target.Target, func(), error) {
	dialer := ssh.NewDialer(ssh.DialerOptions{})
	var open []target.Target
	closeAll := func() {
		for _, t := range open {
			_ = t.Close()
		}
		_ = dialer.Close()
	}
	for _, in := range f.instances {
		host, port, _ := cutAddr(in.addr)
		number, err := strconv.Atoi(port)
		if err != nil {
			return nil, closeAll, err
		}
		t, err := dialer.Open(ssh.Config{
			Host: host, Port: number, User: "root", IdentityFiles: []string{f.bench.keys.user},
			IdentitiesOnly: true, IdentityAgent: "none", KnownHosts: []string{f.known}, ConfigFile: "none",
		})
		if err != nil {
			return nil, closeAll, err
		}
		open = append(open, t)
	}
	err := together(len(open), 8, func(i int) error { return runOn(open[i], "true") })
	return open, closeAll, err
}

func runOn(t target.Target, command string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	exit, err := t.Run(ctx, command, target.Streams{})
	if err == nil && !exit.OK() {
		err = fmt.Errorf("%s: %v", command, exit)
	}
	return err
}

// threeRounds runs `sudo true` on all open connections at once, three times.
func threeRounds(targets []target.Target) (float64, error) {
	return seconds(func() error {
		for range 3 {
			err := together(len(targets), len(targets), func(i int) error { return runOn(targets[i], "sudo -n true") })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// scriptOverhead is what the launcher adds to a script on a warm connection.
func scriptOverhead(b *bench) error {
	f, err := b.fleet("script", 1, true)
	if err != nil {
		return err
	}
	if err := furnish(f.instances[0].root, f.here, 1); err != nil {
		return err
	}
	targets, closeAll, err := f.targets()
	if err != nil {
		return err
	}
	defer closeAll()
	script := filepath.Join(f.here, "jobs", job, "bin", "bbr", "pre-backup-lock")
	c := launcher.New(targets[0], launcher.Config{
		Sudo: true, RunDir: filepath.Join(f.here, "run"), StateDir: filepath.Join(f.here, "lib"),
	})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	run := "bench-" + rand.Text()
	if _, err := c.Claim(ctx, launcher.ClaimRequest{Key: "bench", Owner: "bench", Run: run, Term: 1}); err != nil {
		return err
	}
	r := row{Case: "1 script / sudo script on a warm connection", Unit: "ms", Limit: 10, Kind: addedAtMost}
	for i := range 20 * b.turns {
		err := b.turn(&r, i, func() (float64, error) {
			took, err := seconds(func() error { return runOn(targets[0], "sudo -n "+script) })
			return 1000 * took, err
		}, func() (float64, error) {
			took, err := seconds(func() error { return viaLauncher(ctx, c, script, launcher.StepRef{Run: run, ID: "s", Attempt: i + 1}) })
			return 1000 * took, err
		})
		if err != nil {
			return err
		}
	}
	b.rows = append(b.rows, r)
	return c.Release(ctx, launcher.ReleaseDone)
}

func viaLauncher(ctx context.Context, c *launcher.Client, script string, ref launcher.StepRef) error {
	if _, err := c.Start(ctx, launcher.Step{StepRef: ref, Path: script}); err != nil {
		return err
	}
	status, err := c.Wait(ctx, ref, nil)
	if err == nil && !status.Outcome.OK() {
		err = fmt.Errorf("%s: %v", script, status.Outcome)
	}
	return err
}
