//go:build e2e

// Package e2e runs the main job on real servers: several instances with
// Debian's own sshd, PostgreSQL, redis and files, backed up under load,
// destroyed and brought back, and every way to die in between.
//
// test/e2e/run installs what is needed, builds the programs and runs this.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep/test/e2e/instances"
	"lockstep/test/e2e/shop"
)

// bin is the folder with the programs lockstep and shopd.
var bin = os.Getenv("LOCKSTEP_E2E_BIN")

// kit makes the shops of all tests; they share one world.
var kit *shop.Kit

func TestMain(m *testing.M) {
	for _, program := range []string{"lockstep", "shopd"} {
		if _, err := os.Stat(filepath.Join(bin, program)); bin == "" || err != nil {
			fmt.Fprintf(os.Stderr, "no program %s in LOCKSTEP_E2E_BIN=%q; use test/e2e/run\n", program, bin)
			os.Exit(1)
		}
	}
	instances.Enter()
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func prepare() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	lab, err := instances.NewLab()
	if err != nil {
		return err
	}
	kit, err = shop.NewKit(ctx, lab, filepath.Join(bin, "shopd"))
	return err
}
