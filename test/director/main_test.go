package director

import (
	"context"
	"os"
	"testing"

	"lockstep"
	"lockstep/bbr"
	"lockstep/cli"
	"lockstep/source"
)

// asProgram, in the environment, makes this test binary one of the programs.
const asProgram = "LOCKSTEP_TEST_PROGRAM"

func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) {
	case "lockstep":
		os.Exit(cli.Program{
			Version: "test", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Environ(),
			Signals: cli.Signals(), Setup: cli.Wire(),
		}.Run(context.Background(), os.Args[1:]))
	case "bbr":
		os.Exit(bbr.Program{
			Version: "1.9.99", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Environ(),
			Signals: bbr.Signals(), Setup: bbrSetup(),
		}.Run(context.Background(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// relative are locations in the folder of a machine.
var relative = lockstep.Locations{Scripts: "jobs/{job}/bin/bbr", Artifacts: "store/bbr-backup", Launcher: "run", Claim: "claim"}

// bbrSetup is the real one for machines that are folders, on which shasum need
// not be.
func bbrSetup() bbr.Setup {
	setup := bbr.Wire()
	open, director := setup.Open, setup.Director
	setup.Open = func(ctx context.Context, o bbr.Options) (bbr.Orchestrator, error) {
		o.Provable = func(context.Context, source.Instance) error { return nil }
		return open(ctx, o)
	}
	setup.Director = func(ctx context.Context, a bbr.DirectorAccess) (bbr.Director, error) {
		a.Locations = relative
		return director(ctx, a)
	}
	return setup
}
