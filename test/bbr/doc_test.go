//go:build bbrsuite

// Package bbr runs the real bbr program in the world of the original's suites:
// a director that takes exactly the calls it expects, in their order, and
// containers as instances.
//
// Tests are named after the section of the contract that they hold, as
// TestContract_3_1_…; those named TestBetter_… show where bbr does better than
// the original. test/bbr/run makes the image, builds the program and runs this.
package bbr

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var (
	// bin is the folder with the programs bbr and bbr-2.0.
	bin = os.Getenv("LOCKSTEP_BBR_BIN")
	// image is the name of the image of an instance.
	image = os.Getenv("LOCKSTEP_BBR_IMAGE")
	// label marks the containers of this run.
	label = os.Getenv("LOCKSTEP_BBR_LABEL")
	// home is the home folder of every run of bbr, as an operator has one: all
	// share its journal.
	home string
)

func TestMain(m *testing.M) {
	if _, err := os.Stat(filepath.Join(bin, "bbr")); err != nil || bin == "" || image == "" || label == "" {
		fmt.Fprintln(os.Stderr, "no program or no image; use test/bbr/run")
		os.Exit(1)
	}
	os.Exit(inHome(m))
}

func inHome(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lockstep-bbr-home-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	home = dir
	return m.Run()
}
