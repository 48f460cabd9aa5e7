package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// deployment is a configured deployment called "bench", with what lockstep
// keeps of it.
type deployment struct {
	lockstep string
	config   string
	backups  string
	reports  string // where each run's JSON is kept, if anywhere
	peak     int64  // the most memory a lockstep process has had, in KiB
}

const job = "store"

// scripts of the only job. The data is not made by the backup script, which
// only shows it: what is measured is ours.
var scripts = map[string]string{
	"pre-backup-lock":     "#!/bin/sh\n",
	"backup":              "#!/bin/sh\nln %s \"$BBR_ARTIFACT_DIRECTORY\"\n",
	"post-backup-unlock":  "#!/bin/sh\n",
	"pre-restore-lock":    "#!/bin/sh\n",
	"restore":             "#!/bin/sh\n",
	"post-restore-unlock": "#!/bin/sh\n",
}

// furnish puts the job and its data into an instance's folder, which the
// instance sees as seen.
func furnish(root, seen string, bytes int64) error {
	bin := filepath.Join(root, "jobs", job, "bin", "bbr")
	data := filepath.Join(root, "data")
	if err := firstOf(os.MkdirAll(bin, 0o755), os.MkdirAll(data, 0o755)); err != nil {
		return err
	}
	for name, text := range scripts {
		if strings.Contains(text, "%s") {
			text = fmt.Sprintf(text, filepath.Join(seen, "data", "blob"))
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return randomFile(filepath.Join(data, "blob"), bytes)
}

// randomFile is a file that does not compress, in memory and on the medium.
func randomFile(path string, bytes int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, bytes)
	if bytes >= 1<<20 { // so that nobody's sync pays for it later
		err = firstOf(err, f.Sync())
	}
	return firstOf(err, f.Close())
}

// deploy writes the configuration of a deployment of all the fleet's
// instances, reached at addrs (those of the instances, unless given).
func (f *fleet) deploy(addrs ...string) (*deployment, error) {
	if len(addrs) == 0 {
		for _, in := range f.instances {
			addrs = append(addrs, in.addr)
		}
	}
	return f.bench.deploy(f.dir, place{ssh: fmt.Sprintf("user: root, sudo: true, known_hosts: %s", f.known), prefix: f.here + "/"}, addrs)
}

// place is how instances are reached and where they have their folders.
type place struct{ ssh, prefix string }

func (b *bench) deploy(dir string, p place, addrs []string) (*deployment, error) {
	var text strings.Builder
	fmt.Fprintf(&text, `state_dir: %[1]s/state
repository: {dir: %[1]s/backups}
deployments:
  bench:
    ssh: {%[2]s, identity_file: %[3]s, identities_only: true, identity_agent: none, config_file: none}
    script_location: %[4]sjobs/{job}/bin/bbr
    artifact_location: %[4]sstore
    launcher_location: %[4]srun
    claim_location: %[4]slib
    instance_groups:
    - name: group
      instances:
`, dir, p.ssh, b.keys.user, p.prefix)
	for i, addr := range addrs {
		fmt.Fprintf(&text, "      - {id: \"%d\", host: %q}\n", i, addr)
	}
	d := &deployment{lockstep: b.lockstep, reports: b.reports, config: filepath.Join(dir, "lockstep.yaml"), backups: filepath.Join(dir, "backups")}
	return d, os.WriteFile(d.config, []byte(text.String()), 0o644)
}

// report is what is read of a run.
type report struct {
	Backup   string  `json:"backup"`
	Data     string  `json:"data"`
	Window   float64 `json:"lock_window_seconds"`
	Overhead float64 `json:"lock_window_overhead_seconds"`
	Steps    []struct {
		Stage   string    `json:"stage"`
		Started time.Time `json:"started_at"`
		Ended   time.Time `json:"ended_at"`
	} `json:"steps"`
}

// collect is how many seconds the only collect step took.
func (r report) collect() float64 {
	for _, s := range r.Steps {
		if s.Stage == "collect" {
			return s.Ended.Sub(s.Started).Seconds()
		}
	}
	return math.NaN()
}

// backup makes a whole backup and returns how many seconds it took.
func (d *deployment) backup() (float64, report, error) {
	took, r, err := d.call("backup", "bench")
	if err == nil && r.Data != "verified" {
		err = fmt.Errorf("the backup's data is %q", r.Data)
	}
	return took, r, err
}

// restore restores the newest backup.
func (d *deployment) restore() (float64, error) {
	took, _, err := d.call("restore", "bench", "latest", "--yes")
	return took, err
}

func (d *deployment) call(args ...string) (float64, report, error) {
	var r report
	var out, complaints strings.Builder
	cmd := exec.Command(d.lockstep, append([]string{"--config", d.config, "-o", "json"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began).Seconds()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		d.peak = max(d.peak, usage.Maxrss)
	}
	if err != nil {
		return took, r, fmt.Errorf("lockstep %s: %w: %s", strings.Join(args, " "), err, lastLines(complaints.String()))
	}
	if d.reports != "" {
		file := filepath.Join(d.reports, fmt.Sprintf("%s-%d.json", filepath.Base(filepath.Dir(d.config)), began.UnixNano()))
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			return took, r, err
		}
	}
	return took, r, json.Unmarshal([]byte(out.String()), &r)
}

// forget removes all backups, so that the disk does not fill.
func (d *deployment) forget() error {
	entries, err := os.ReadDir(d.backups)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = firstOf(err, os.RemoveAll(filepath.Join(d.backups, e.Name())))
	}
	return err
}

// memory is the row of a deployment's peak of memory.
func (d *deployment) memory(name string, limit float64) row {
	return row{Case: name + ": memory", Unit: "MiB", Ours: []float64{float64(d.peak) / 1024}, Limit: limit, Kind: valueAtMost}
}

func lastLines(s string) string {
	const most = 1500
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-most):]
}
