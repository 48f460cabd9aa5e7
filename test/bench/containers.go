package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lockstep/launcher"
	"lockstep/target/docker"
)

// containers are the instances of one case, and what they share: a folder with a job, seen
// by each as its own.
type containers struct {
	bench *bench
	dir   string
	label string
	names []string
}

// containers starts n containers, each with a job whose artifact has that many bytes.
func (b *bench) containers(name string, n int, bytes int64) (*containers, error) {
	dir, err := b.folder(name)
	if err != nil {
		return nil, err
	}
	c := &containers{bench: b, dir: dir, label: "lockstep-bench-" + strings.ToLower(rand.Text()[:12])}
	b.atEnd(func() { c.remove() })
	for i := range n {
		root := filepath.Join(dir, fmt.Sprint(i))
		if err := furnish(root, "", bytes); err != nil {
			return nil, err
		}
		c.names = append(c.names, fmt.Sprintf("%s-%d", c.label, i))
	}
	return c, together(n, 8, func(i int) error {
		root := filepath.Join(dir, fmt.Sprint(i))
		out, err := exec.Command("docker", "run", "--detach", "--init", "--name", c.names[i], "--label", c.label, "--label", "lockstep.group=group",
			"--volume", root+"/jobs:/var/vcap/jobs:ro", "--volume", root+"/data:/data", "--volume", "/var/lib/lockstep",
			b.image, "sleep", "7200").CombinedOutput()
		if err != nil {
			return fmt.Errorf("docker run: %w: %s", err, lastLines(string(out)))
		}
		return nil
	})
}

func (c *containers) remove() {
	if len(c.names) > 0 {
		_ = exec.Command("docker", append([]string{"rm", "--force", "--volumes"}, c.names...)...).Run()
	}
}

// deploy writes the configuration of a deployment of all of them.
func (c *containers) deploy() (*deployment, error) {
	text := fmt.Sprintf(`state_dir: %[1]s/state
repository: {dir: %[1]s/backups}
deployments:
  bench:
    docker: {host: "unix://%[2]s", label: %[3]s}
    script_location: /var/vcap/jobs/{job}/bin/bbr
    artifact_location: /data/store
`, c.dir, dockerSocket, c.label)
	d := &deployment{lockstep: c.bench.lockstep, reports: c.bench.reports, config: filepath.Join(c.dir, "lockstep.yaml"), backups: filepath.Join(c.dir, "backups")}
	return d, os.WriteFile(d.config, []byte(text), 0o644)
}

const dockerSocket = "/var/run/docker.sock"

// exec is docker exec of a line of shell in one of them.
func (c *containers) exec(i int, words ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"exec", "--interactive", c.names[i]}, words...)...)
}

// withContainers runs a case that needs an engine and an image.
func withContainers(name string, run func(*bench) error) measured {
	return measured{name, true, func(b *bench) error {
		if b.image == "" {
			b.rows = append(b.rows, row{Case: name, Note: "SKIPPED: containers need a Docker engine, and the image that test/bench/run makes"})
			return nil
		}
		return run(b)
	}}
}

// oneContainer is one container with one large artifact: backup against tar through docker
// exec, and restore against cat.
func oneContainer(b *bench) error {
	c, err := b.containers("container", 1, b.big)
	if err != nil {
		return err
	}
	d, err := c.deploy()
	if err != nil {
		return err
	}
	title := "1 container x " + mib(b.big)
	back := row{Case: title + ": backup / docker exec tar", Unit: "s", Limit: 1.3, Kind: ratioAtMost}
	rest := row{Case: title + ": restore / docker exec cat", Unit: "s", Limit: 1.3, Kind: ratioAtMost}
	blob, fetched := filepath.Join(c.dir, "0", "data", "blob"), filepath.Join(c.dir, "fetched")
	for i := range b.turns {
		if err := b.turn(&back, i, func() (float64, error) {
			defer os.Remove(fetched)
			return seconds(func() error { return intoFile(c.exec(0, "tar", "-C", "/data", "-c", "blob"), fetched) })
		}, func() (float64, error) {
			if err := d.forget(); err != nil {
				return 0, err
			}
			took, _, err := d.backup()
			return took, err
		}); err != nil {
			return err
		}
		if err := b.turn(&rest, i, func() (float64, error) {
			src, err := os.Open(blob)
			if err != nil {
				return 0, err
			}
			defer src.Close()
			defer os.Remove(filepath.Join(c.dir, "0", "data", "uploaded"))
			cmd := c.exec(0, "sh", "-c", "cat >/data/uploaded")
			cmd.Stdin = src
			return seconds(cmd.Run)
		}, d.restore); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, back, rest, d.memory(title, 100))
	return nil
}

// fiftyContainers is what many small containers cost.
func fiftyContainers(b *bench) error {
	c, err := b.containers("containers", 50, 64<<10)
	if err != nil {
		return err
	}
	d, err := c.deploy()
	if err != nil {
		return err
	}
	all := row{Case: "50 containers: backup / docker exec true, 8 at a time", Unit: "s", Limit: 2, Kind: ratioAtMost}
	window := row{Case: "50 containers: lock window", Unit: "s", Kind: valueOnly}
	for i := range b.turns {
		var rep report
		if err := b.turn(&all, i, func() (float64, error) {
			return seconds(func() error {
				return together(len(c.names), 8, func(i int) error { return c.exec(i, "true").Run() })
			})
		}, func() (took float64, err error) {
			took, rep, err = d.backup()
			return took, err
		}); err != nil {
			return err
		}
		window.Ours = append(window.Ours, rep.Window)
	}
	b.rows = append(b.rows, all, window, d.memory("50 containers", 100))
	return nil
}

// scriptInContainer is what a script costs beside docker exec of it.
func scriptInContainer(b *bench) error {
	c, err := b.containers("container-script", 1, 1)
	if err != nil {
		return err
	}
	engine, err := docker.Open(docker.Config{Host: "unix://" + dockerSocket}, nil)
	if err != nil {
		return err
	}
	defer engine.Close()
	inside := engine.Container(c.names[0], "root")
	defer inside.Close()
	script := "/var/vcap/jobs/" + job + "/bin/bbr/pre-backup-lock"
	l := launcher.New(inside, launcher.Config{RunDir: "/var/lib/lockstep/run", StateDir: "/var/lib/lockstep/claim"})
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	run := "bench-" + rand.Text()
	if _, err := l.Claim(ctx, launcher.ClaimRequest{Key: "bench", Owner: "bench", Run: run, Term: 1}); err != nil {
		return err
	}
	r := row{Case: "1 script in a container / docker exec of it", Unit: "ms", Limit: 15, Kind: addedAtMost}
	for i := range 20 * b.turns {
		err := b.turn(&r, i, func() (float64, error) {
			took, err := seconds(c.exec(0, script).Run)
			return 1000 * took, err
		}, func() (float64, error) {
			took, err := seconds(func() error { return viaLauncher(ctx, l, script, launcher.StepRef{Run: run, ID: "s", Attempt: i + 1}) })
			return 1000 * took, err
		})
		if err != nil {
			return err
		}
	}
	b.rows = append(b.rows, r)
	return l.Release(ctx, launcher.ReleaseDone)
}
