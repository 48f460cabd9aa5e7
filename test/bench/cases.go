package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

func oneInstance(b *bench) error               { return b.one("one", true, 1.5) }
func oneInstanceWithoutOpenSSL(b *bench) error { return b.one("one-sha256sum", false, 1.8) }

// one is one instance with one large artifact: backup against tar over ssh, and
// restore against cat over ssh.
func (b *bench) one(name string, openssl bool, limit float64) error {
	f, err := b.fleet(name, 1, openssl)
	if err != nil {
		return err
	}
	in := f.instances[0]
	if err := furnish(in.root, f.here, b.big); err != nil {
		return err
	}
	d, err := f.deploy()
	if err != nil {
		return err
	}
	with := "sha256sum"
	if openssl {
		with = "openssl"
	}
	title := fmt.Sprintf("1 instance x %s, %s", mib(b.big), with)
	back := row{Case: title + ": backup / ssh tar", Unit: "s", Limit: limit, Kind: ratioAtMost}
	rest := row{Case: title + ": restore / ssh cat", Unit: "s", Limit: 1.5, Kind: ratioAtMost}
	disk := row{Case: title + ": copy and sync on this disk", Unit: "s", Kind: valueOnly, Note: "what the medium alone costs"}
	blob := filepath.Join(in.root, "data", "blob")
	for i := range b.turns {
		if err := b.turn(&back, i, f.tar(in), func() (float64, error) {
			if err := d.forget(); err != nil {
				return 0, err
			}
			took, _, err := d.backup()
			return took, err
		}); err != nil {
			return err
		}
		if err := b.turn(&rest, i, f.upload(in, blob), d.restore); err != nil {
			return err
		}
		took, err := copyAndSync(blob, filepath.Join(f.dir, "copy"))
		if err != nil {
			return err
		}
		disk.Ours = append(disk.Ours, took)
	}
	b.rows = append(b.rows, back, rest, disk, d.memory(title, 100))
	return nil
}

// tar is the reference of a backup: the data as a tar into a file here.
func (f *fleet) tar(in *instance) func() (float64, error) {
	return f.fetch("sudo tar -C "+filepath.Join(f.here, "data")+" -c .", in)
}

// fetch runs the command on all those instances at once, each into a file.
func (f *fleet) fetch(command string, from ...*instance) func() (float64, error) {
	return func() (float64, error) {
		took, err := seconds(func() error {
			return together(len(from), len(from), func(i int) error {
				return intoFile(f.ssh(from[i], command), filepath.Join(f.dir, fmt.Sprint("fetched-", i)))
			})
		})
		for i := range from {
			os.Remove(filepath.Join(f.dir, fmt.Sprint("fetched-", i)))
		}
		return took, err
	}
}

func intoFile(cmd *exec.Cmd, path string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	cmd.Stdout = out
	return firstOf(cmd.Run(), out.Close())
}

// upload is the reference of a restore: a file from here into one there.
func (f *fleet) upload(in *instance, file string) func() (float64, error) {
	return func() (float64, error) {
		took, err := seconds(func() error {
			src, err := os.Open(file)
			if err != nil {
				return err
			}
			defer src.Close()
			cmd := f.ssh(in, "cat > "+filepath.Join(f.here, "uploaded"))
			cmd.Stdin = src
			return cmd.Run()
		})
		os.Remove(filepath.Join(in.root, "uploaded"))
		return took, err
	}
}

func copyAndSync(from, to string) (float64, error) {
	defer os.Remove(to)
	return seconds(func() error {
		return exec.Command("dd", "if="+from, "of="+to, "bs=1M", "conv=fsync", "status=none").Run()
	})
}

// eightInstances is eight artifacts at once.
func eightInstances(b *bench) error {
	f, err := b.fleet("eight", 8, true)
	if err != nil {
		return err
	}
	for _, in := range f.instances {
		if err := furnish(in.root, f.here, b.part); err != nil {
			return err
		}
	}
	d, err := f.deploy()
	if err != nil {
		return err
	}
	title := "8 instances x " + mib(b.part)
	r := row{Case: title + ": backup / 8 ssh cat", Unit: "s", Limit: 1.7, Kind: ratioAtMost}
	reference := f.fetch("cat "+filepath.Join(f.here, "data", "blob"), f.instances...)
	for i := range b.turns {
		if err := b.turn(&r, i, reference, func() (float64, error) {
			if err := d.forget(); err != nil {
				return 0, err
			}
			took, _, err := d.backup()
			return took, err
		}); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, r, d.memory(title, 100))
	return nil
}

// together calls do for 0..n-1, atOnce of them at a time, and gives the first
// error.
func together(n, atOnce int, do func(int) error) error {
	errs := make([]error, n)
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(i)
		})
	}
	wg.Wait()
	return firstOf(errs...)
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
