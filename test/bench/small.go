package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lockstep/launcher"
)

// smallFiles is what the proof of many small files costs their instance.
func smallFiles(b *bench) error {
	f, err := b.fleet("small", 1, true)
	if err != nil {
		return err
	}
	const folders, files = 100, 1000
	for n := range folders * files {
		name := filepath.Join(f.instances[0].root, "data", fmt.Sprint(n%folders), fmt.Sprint(n))
		if n < folders {
			err = os.MkdirAll(filepath.Dir(name), 0o755)
		}
		if err := firstOf(err, os.WriteFile(name, []byte(strings.Repeat(fmt.Sprintln(n), 30)), 0o644)); err != nil {
			return err
		}
	}
	targets, closeAll, err := f.targets()
	if err != nil {
		return err
	}
	defer closeAll()
	c := launcher.New(targets[0], launcher.Config{
		Sudo: true, RunDir: filepath.Join(f.here, "run"), StateDir: filepath.Join(f.here, "lib"),
	})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	data := filepath.Join(f.here, "data")
	r := row{Case: fmt.Sprintf("%d small files: inventory / sha256sum", folders*files), Unit: "s", Limit: 2, Kind: ratioAtMost}
	reference := func() (float64, error) {
		return seconds(f.ssh(f.instances[0], "find "+data+" -type f -print0 | xargs -0 sha256sum >/dev/null").Run)
	}
	for i := range b.turns {
		if err := b.turn(&r, i, reference, func() (float64, error) {
			return seconds(func() error {
				listed := 0
				err := c.Inventory(ctx, data, func(launcher.Item) { listed++ })
				if err == nil && listed != folders*files+folders+1 {
					err = fmt.Errorf("%d entries are listed", listed)
				}
				return err
			})
		}); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, r)
	return nil
}
