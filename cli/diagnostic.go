package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/config"
	"lockstep/internal/redact"
	"lockstep/show"
)

const diagnosticHelp = `Write a file to send along when you ask for help: version and platform, the
configuration without its secrets, the list of runs and the events of the last
ones, what is held, and the list of backups. It has names, addresses and error
texts of your deployment in it, but no secret, no script output and none of your
data: look into it before you send it.

  lockstep diagnostic
  lockstep diagnostic --file /tmp/lockstep.tar.gz

Exit codes: 0 written, even if parts could not be had (errors.txt says which) ·
1 error · 2 usage.`

// diagnosticRuns is of how many runs, the last ones, the events are included;
// diagnosticList how many are listed.
const (
	diagnosticRuns = 5
	diagnosticList = 50
)

func (i *invocation) diagnosticCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "diagnostic", Short: "Write a file to send along when asking for help", Long: diagnosticHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := i.interruptible(c.Context())
			defer stop()
			now := i.Now().UTC()
			if file == "" {
				file = "lockstep-diagnostic-" + now.Format("20060102T150405Z") + ".tar.gz"
			}
			d := &diagnostic{invocation: i, at: now}
			d.collect(ctx)
			if err := d.write(file); err != nil {
				return fmt.Errorf("write %s: %w", file, err)
			}
			fmt.Fprintln(i.Stdout, show.Line(file))
			return nil
		},
	}
	c.Flags().StringVar(&file, "file", "", "the `FILE` to write; it must not exist (default lockstep-diagnostic-TIME.tar.gz)")
	return c
}

// diagnostic collects the parts of the file. What cannot be had is noted and
// does not keep the rest out.
type diagnostic struct {
	*invocation
	at     time.Time
	parts  []part
	errors []string
}

type part struct {
	name string
	data []byte
}

func (d *diagnostic) collect(ctx context.Context) {
	d.addJSON("version.json", versionOf(d.Version), nil)
	d.add("platform.txt", platform())
	if cfg, err := config.Load(d.flags.config, d.getenv); err != nil {
		d.failed("configuration", err)
	} else {
		d.add("config.yaml", []byte(config.Show(cfg)))
	}
	svc, err := d.service(ctx)
	if err != nil {
		d.failed("open the orchestrator", err)
	} else {
		d.ask(ctx, svc)
	}
	if len(d.errors) > 0 {
		d.add("errors.txt", []byte(strings.Join(d.errors, "\n")+"\n"))
	}
}

func (d *diagnostic) ask(ctx context.Context, svc lockstep.Service) {
	deployments, err := svc.Deployments(ctx)
	d.addJSON("deployments.json", show.List(deployments), err)
	held, err := svc.Held(ctx, "")
	d.addJSON("held.json", show.List(held), err)
	backups, err := svc.Backups(ctx, "")
	d.addJSON("backups.json", show.List(backups), err)
	runs, err := svc.Runs(ctx, lockstep.RunFilter{Limit: diagnosticList})
	d.addJSON("runs.json", show.List(runs), err)
	for _, r := range runs[:min(len(runs), diagnosticRuns)] {
		d.add("runs/"+string(r.ID)+".jsonl", d.events(ctx, svc, r.ID))
	}
}

// events are a run's events so far, a line each.
func (d *diagnostic) events(ctx context.Context, svc lockstep.Service, id lockstep.RunID) []byte {
	var b bytes.Buffer
	run, err := svc.Run(ctx, id)
	if err != nil {
		d.failed("run "+string(id), err)
		return nil
	}
	enc := json.NewEncoder(&b)
	for e, err := range svc.Events(ctx, id, 0) {
		if err == nil && e.Seq > 0 {
			err = enc.Encode(e)
		}
		if err != nil {
			d.failed("events of run "+string(id), err)
			break
		}
		if e.Seq >= run.Seq {
			break // one that goes on would keep us waiting
		}
	}
	return b.Bytes()
}

func (d *diagnostic) add(name string, data []byte) {
	d.parts = append(d.parts, part{name, []byte(redact.Text(string(data)))})
}

func (d *diagnostic) addJSON(name string, v any, err error) {
	if err != nil {
		d.failed(name, err)
		return
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		d.failed(name, err)
		return
	}
	d.add(name, append(data, '\n'))
}

func (d *diagnostic) failed(what string, err error) {
	d.errors = append(d.errors, what+": "+err.Error())
}

// platform says what this program runs on.
func platform() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s, %s, %d processors\n", runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU())
	for _, name := range []string{"/proc/version", "/etc/os-release", "/proc/meminfo", "/proc/loadavg"} {
		if data, err := os.ReadFile(name); err == nil {
			fmt.Fprintf(&b, "\n%s:\n%s", name, data)
		}
	}
	return []byte(b.String())
}

// write writes the parts below a folder named after the file.
func (d *diagnostic) write(file string) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	folder := strings.TrimSuffix(filepath.Base(file), ".tar.gz")
	for _, p := range d.parts {
		h := &tar.Header{Name: folder + "/" + p.name, Mode: 0o600, Size: int64(len(p.data)), ModTime: d.at}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(p.data); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}
