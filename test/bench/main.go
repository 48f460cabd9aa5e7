// Command bench measures whole runs of lockstep against what they are made of:
// ssh, tar and sudo, by hand.
//
// A case is one promise of speed or size. Its reference is measured beside it
// in the same run, turn by turn, because only the ratio means something: the
// machine, its load and its disk are the same for both. A turn is one
// measurement of each; what counts is the median of all turns.
//
// An instance is a real sshd on loopback in a mount and a process namespace of
// its own, so that it has its own folders for jobs and launcher and that
// nothing outlives it. That needs root and Linux. The swarm, a thousand small
// servers in one process, needs neither.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "swarm":
			exitOn(swarmMain(os.Args[2:]))
			return
		case "keep":
			exitOn(keepMain(os.Args[2:]))
			return
		case "delay":
			exitOn(delayMain(os.Args[2:]))
			return
		}
	}
	exitOn(benchMain())
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func benchMain() error {
	b := &bench{}
	var only string
	var quick, asJSON bool
	flag.StringVar(&b.lockstep, "lockstep", "bin/lockstep", "the program to measure")
	flag.StringVar(&b.bbr, "bbr", "", "the drop-in for BOSH Backup and Restore to measure; its cases are left out without")
	flag.StringVar(&b.image, "image", "", "the image of containers, with what an instance needs; their cases are left out without")
	flag.IntVar(&b.turns, "n", 5, "turns of each case")
	flag.BoolVar(&quick, "quick", false, "one turn, smaller data, a small swarm: for a first look")
	flag.StringVar(&only, "case", "", "only cases that match this regular expression")
	flag.StringVar(&b.base, "dir", os.TempDir(), "where data and backups go; all on one file system")
	flag.Func("swarm", "sizes of the swarms, as 250,500,1000", func(list string) error {
		return json.Unmarshal([]byte("["+list+"]"), &b.swarms)
	})
	flag.StringVar(&b.reports, "reports", "", "keep the JSON of each run of lockstep in this folder")
	flag.BoolVar(&asJSON, "json", false, "print JSON in place of the table")
	flag.Parse()
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if b.lockstep, err = filepath.Abs(b.lockstep); err != nil {
		return err
	}
	b.big, b.part, b.long = 1<<30, 128<<20, 256<<20
	sizes := []int{250, 500, 1000}
	if quick {
		b.turns, b.big, b.part, b.long, sizes = 1, 256<<20, 32<<20, 128<<20, []int{50, 200}
	}
	if len(b.swarms) == 0 {
		b.swarms = sizes
	}
	if err := b.open(); err != nil {
		return err
	}
	defer b.close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		b.close()
		os.Exit(130)
	}()
	err = b.run(match)
	if asJSON {
		return firstOf(err, b.printJSON(os.Stdout))
	}
	b.printTable(os.Stdout)
	return err
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
