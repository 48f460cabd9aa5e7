//go:build kubesuite

package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is when what a test waits for is called missing.
const patience = 2 * time.Minute

// node is the one node of the cluster, and its control plane.
type node struct {
	dir   string // of all that it writes
	path  string // of its programs
	parts map[string]*part
}

// part is one of its programs.
type part struct {
	name string
	argv []string
	log  string

	mu   sync.Mutex
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended
}

// the is the cluster of this run. What its tests share is that alone.
var the *node

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if the, err = startNode(); err != nil {
			fmt.Fprintln(os.Stderr, "the node did not come up:", err)
			if the != nil {
				the.tell()
			}
			return 1
		}
		defer the.stop()
		return m.Run()
	}())
}

func variable(name string) string {
	value := os.Getenv(name)
	if value == "" {
		panic(name + " is not set: run test/kube/run")
	}
	return value
}

// startNode starts a node and returns when pods can run on it.
func startNode() (*node, error) {
	began := time.Now()
	programs := variable("LOCKSTEP_KUBE_PROGRAMS")
	n := &node{dir: variable("LOCKSTEP_KUBE_SCRATCH"), parts: map[string]*part{}}
	n.path = strings.Join([]string{
		variable("LOCKSTEP_KUBE_NODE"), filepath.Dir(variable("LOCKSTEP_KUBE_BIN")),
		programs + "/usr/sbin", programs + "/usr/bin", n.dir + "/bin", os.Getenv("PATH"),
	}, ":")
	if err := os.Setenv("PATH", n.path); err != nil {
		return n, err
	}
	if err := n.write(programs); err != nil {
		return n, err
	}
	for _, step := range []func() error{
		func() error { return n.start("containerd") },
		func() error { return n.start("etcd") },
		func() error { return n.start("kube-apiserver") },
		n.images,
		func() error { return n.eventually("kubectl get --raw /readyz") },
		func() error { return n.start("kube-controller-manager") },
		func() error { return n.start("kube-scheduler") },
		func() error { return n.start("kubelet") },
		n.volumes,
		func() error { return n.eventually("kubectl wait --for=condition=Ready node/node --timeout 1s") },
	} {
		if err := step(); err != nil {
			return n, err
		}
	}
	fmt.Printf("the node is up after %.0f s\n", time.Since(began).Seconds())
	return n, nil
}

// start starts a part that is not up.
func (n *node) start(name string) error {
	p := n.parts[name]
	if p == nil {
		return fmt.Errorf("there is no part %s", name)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = exec.Command(p.argv[0], p.argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what interrupts the tests is not for it
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.gone = make(chan struct{})
	go func(c *exec.Cmd, gone chan struct{}) {
		_ = c.Wait()
		close(gone)
	}(p.cmd, p.gone)
	return nil
}

// kill is kill -9 of a part. What it started lives on.
func (n *node) kill(name string) {
	p := n.parts[name]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.gone
	}
}

// stop ends all parts, those that others need last.
func (n *node) stop() {
	for _, name := range []string{"kubelet", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd", "containerd"} {
		n.kill(name)
	}
}

// images imports what pods run.
func (n *node) images() error {
	if err := n.eventually("ctr --address " + n.dir + "/containerd.sock version"); err != nil {
		return err
	}
	pause, err := n.pauseImage()
	if err != nil {
		return err
	}
	ctr := "ctr --address " + n.dir + "/containerd.sock --namespace k8s.io images "
	name := "docker.io/library/" + variable("LOCKSTEP_KUBE_IMAGE_NAME")
	for _, line := range []string{
		ctr + "import " + pause,
		ctr + "import " + variable("LOCKSTEP_KUBE_IMAGE"),
		ctr + "import " + variable("LOCKSTEP_KUBE_NOSHELL"),
		ctr + "tag " + name + " docker.io/library/debian:12", // what the document names
	} {
		if out, err := sh(line); err != nil {
			return fmt.Errorf("%s: %w\n%s", line, err, out)
		}
	}
	return nil
}

// volumes makes folders of this machine what claims can have.
func (n *node) volumes() error {
	var b strings.Builder
	for i := range 80 {
		folder := filepath.Join(n.dir, "volumes", strconv.Itoa(i))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(folder, 0o777); err != nil { // nobody gives it to a pod's group
			return err
		}
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: PersistentVolume
metadata: {name: volume-%d}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: %s}
`, i, folder)
	}
	out, err := withInput("kubectl apply -f -", b.String())
	if err != nil {
		return fmt.Errorf("make volumes: %w\n%s", err, out)
	}
	return nil
}

// eventually waits for a line of shell to succeed.
func (n *node) eventually(line string) error {
	var out string
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if out, err = sh(line); err == nil {
			return nil
		}
		for name, p := range n.parts {
			if p.ended() {
				return fmt.Errorf("%s has ended", name)
			}
		}
	}
	return fmt.Errorf("%s: not within %v: %w\n%s", line, patience, err, out)
}

func (p *part) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gone:
		return p.cmd != nil
	default:
		return false
	}
}

// tell prints the end of what the parts said.
func (n *node) tell() {
	for name, p := range n.parts {
		out, _ := sh("tail -n 15 " + p.log)
		fmt.Fprintf(os.Stderr, "== %s\n%s\n", name, out)
	}
}

// sh runs a line of shell and gives what it printed.
func sh(line string) (string, error) { return withInput(line, "") }

func withInput(line, stdin string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-ec", line)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), errors.Join(err, ctx.Err())
}
