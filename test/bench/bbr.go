package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"lockstep/internal/mockdirector"
)

// bbrRuns are the runs of the drop-in in a folder of its own.
type bbrRuns struct {
	bench *bench
	dir   string
	args  []string
	peak  int64 // KiB
}

// call runs a subcommand and returns how many seconds it took.
func (r *bbrRuns) call(args ...string) (float64, error) {
	var out strings.Builder
	cmd := exec.Command(r.bench.bbr, append(append([]string{}, r.args...), args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, &out, &out
	cmd.Env = append(os.Environ(), "LOCKSTEP_STATE_DIR="+filepath.Join(r.dir, "state"), "NO_PROXY=*")
	took, err := seconds(cmd.Run)
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peak = max(r.peak, usage.Maxrss)
	}
	if err != nil {
		return took, fmt.Errorf("bbr %s: %w: %s", strings.Join(args, " "), err, lastLines(out.String()))
	}
	return took, nil
}

// backup makes a backup, in place of the last one.
func (r *bbrRuns) backup() (float64, error) {
	old, err := r.backups()
	for _, b := range old {
		err = firstOf(err, os.RemoveAll(b))
	}
	if err != nil {
		return 0, err
	}
	return r.call("backup")
}

func (r *bbrRuns) restore() (float64, error) {
	made, err := r.backups()
	if err == nil && len(made) == 0 {
		err = errors.New("there is no backup to restore")
	}
	if err != nil {
		return 0, err
	}
	return r.call("restore", "--artifact-path", made[0])
}

func (r *bbrRuns) backups() ([]string, error) {
	return filepath.Glob(filepath.Join(r.dir, "*_*T*Z"))
}

func (r *bbrRuns) memory(name string) row {
	return row{Case: name + ": memory", Unit: "MiB", Ours: []float64{float64(r.peak) / 1024}, Limit: 64, Kind: valueAtMost}
}

// bbrFiftyInstances is what many small instances of a director cost.
func bbrFiftyInstances(b *bench) error {
	if b.bbr == "" {
		return nil
	}
	f, err := b.vcapFleet("bbr-fifty", 50, 64<<10)
	if err != nil {
		return err
	}
	director := mockdirector.StartFree()
	b.atEnd(director.Close)
	var machines []*mockdirector.Instance
	for i, in := range f.instances {
		machines = append(machines, mockdirector.On(&machine{instance: in, hostKey: b.keys.hostPublic}, "group", fmt.Sprint("id-", i), i))
	}
	director.Deploy("bench", "", machines...)
	ca := filepath.Join(f.dir, "ca.pem")
	work := filepath.Join(f.dir, "work")
	if err := firstOf(os.WriteFile(ca, []byte(director.CACert()), 0o644), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	runs := &bbrRuns{bench: b, dir: work, args: []string{
		"deployment", "--target", director.URL(), "--username", mockdirector.Username, "--password", mockdirector.FreePassword,
		"--ca-cert", ca, "--deployment", "bench",
	}}
	title := "bbr, 50 instances of a director"
	r := row{Case: title + ": backup / ssh true, 8 at a time", Unit: "s", Limit: 2.5, Kind: ratioAtMost}
	for i := range b.turns {
		if err := b.turn(&r, i, f.trueEverywhere(), runs.backup); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, r, runs.memory(title))
	return nil
}

// bbrOneInstance is one director's machine with one large artifact.
func bbrOneInstance(b *bench) error {
	if b.bbr == "" {
		return nil
	}
	f, err := b.vcapFleet("bbr-one", 1, b.big)
	if err != nil {
		return err
	}
	in, work := f.instances[0], filepath.Join(f.dir, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	runs := &bbrRuns{bench: b, dir: work, args: []string{
		"director", "--host", in.addr, "--username", "root", "--private-key-path", b.keys.user,
	}}
	title := "bbr director, " + mib(b.big)
	back := row{Case: title + ": backup / ssh sudo tar", Unit: "s", Limit: 1.6, Kind: ratioAtMost}
	rest := row{Case: title + ": restore / ssh cat", Unit: "s", Limit: 1.5, Kind: ratioAtMost}
	blob := filepath.Join(in.root, "var", "vcap", "data", "blob")
	for i := range b.turns {
		if err := b.turn(&back, i, f.fetch("sudo -n tar -C /var/vcap/data -c .", in), runs.backup); err != nil {
			return err
		}
		if err := b.turn(&rest, i, f.sudoUpload(in, blob), runs.restore); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, back, rest, runs.memory(title))
	return nil
}

// sudoUpload copies a file to the instance.
func (f *fleet) sudoUpload(in *instance, from string) func() (float64, error) {
	return func() (float64, error) {
		file, err := os.Open(from)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		cmd := f.ssh(in, "sudo -n sh -c 'cat >/var/vcap/store/reference'")
		cmd.Stdin = file
		took, err := seconds(cmd.Run)
		return took, firstOf(err, os.Remove(filepath.Join(in.root, "var", "vcap", "store", "reference")))
	}
}
