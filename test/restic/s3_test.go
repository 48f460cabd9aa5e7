//go:build restictest

package restic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/s3"
	"lockstep/repository/restic/store/storetest"
)

// gateway is an S3 service over a folder: versitygw, which test/restic/run
// builds.
type gateway struct {
	t              *testing.T
	address        string
	root, versions string
	process        *exec.Cmd
}

const bucket = "backups"

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, root: t.TempDir(), versions: t.TempDir()}
	g.listen()
	return g
}

// listen starts the service, with its bucket, until the test ends.
func (g *gateway) listen() {
	t := g.t
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	l.Close()
	if err := os.Mkdir(filepath.Join(g.root, bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	g.start()
	t.Cleanup(g.kill)
}

func (g *gateway) start() {
	g.t.Helper()
	g.process = exec.Command(os.Getenv("LOCKSTEP_VERSITYGW"), "--port", g.address, "posix", "--versioning-dir", g.versions, g.root)
	g.process.Env = append(os.Environ(), "ROOT_ACCESS_KEY=lockstep", "ROOT_SECRET_KEY=lockstep-secret")
	if err := g.process.Start(); err != nil {
		g.t.Fatal(err)
	}
	for range 3000 { // a minute
		c, err := net.Dial("tcp", g.address)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	g.t.Fatal("the gateway does not listen")
}

// kill is kill -9 of the service.
func (g *gateway) kill() {
	if g.process != nil {
		_ = g.process.Process.Kill()
		_ = g.process.Wait()
		g.process = nil
	}
}

func (g *gateway) store(prefix string, retries int) store.Store {
	g.t.Helper()
	s, err := s3.New(s3.Options{Endpoint: g.address, Insecure: true, Bucket: bucket, Prefix: prefix, PathStyle: true, Retries: retries, Patience: time.Second})
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

func repo(s store.Store) *restic.Repository {
	return restic.New(restic.Options{Store: s, Password: func(context.Context) (string, error) { return password, nil }, KDF: format.KDF{N: 2, R: 8, P: 1}})
}

// credentialsOfTests are in the environment of the whole test program.
func TestMain(m *testing.M) {
	os.Setenv("AWS_ACCESS_KEY_ID", "lockstep")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "lockstep-secret")
	os.Exit(m.Run())
}

func TestS3KeepsTheContractOfAStore(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	var n atomic.Int32
	storetest.Run(t, func(*testing.T) store.Store { return g.store(fmt.Sprint("store", n.Add(1)), 0) })
}

func TestS3KeepsTheContractOfARepository(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	var n atomic.Int32
	repositorytest.Run(t, func(t *testing.T) repository.Repository {
		r := repo(g.store(fmt.Sprint("repo", n.Add(1)), 0))
		if _, err := r.Identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r
	})
}

// TestStockReadsABucket: what we wrote into a bucket, stock restic finds clean
// there.
func TestStockReadsABucket(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	s := &site{t: t, path: "s3:http://" + g.address + "/" + bucket + "/stock", ours: repo(g.store("stock", 0))}
	if _, err := s.ours.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	artifacts := map[string][]byte{"a": tarOf(t, tree(t))}
	m := s.backup("shop_20261122T144241Z", artifacts)
	s.clean()
	s.whole(m, artifacts)
	if out := s.stock("ls", "latest"); !strings.Contains(out, "/a/numbers") {
		t.Error(out)
	}
}

// TestTheServiceDies: a backup fails when the service is killed in its middle;
// when it is back, what was there is whole and the next backup works.
//
//fault:restic-s3-killed the S3 service is killed while a backup is written | the backup fails with the service's address; earlier ones are whole when it is back, and the next one works
func TestTheServiceDies(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	r := repo(g.store("killed", 2))
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := repositorytest.Begin(t, r, "shop_20261122T144241Z")
	repositorytest.Commit(t, r, repositorytest.Manifest(id, repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a"))))
	second := repositorytest.Begin(t, r, "shop_20261123T144241Z")
	big := tarOf(t, tree(t))
	_, err := r.Put(t.Context(), second, "b", &killing{data: bytes.NewReader(big), at: len(big) / 2, kill: g.kill})
	if err == nil || !strings.Contains(err.Error(), g.address) {
		t.Errorf("a backup without its service: %v", err)
	}
	if list, err := r.List(t.Context(), ""); err == nil {
		t.Errorf("a listing without its service gave %d backups", len(list))
	}
	g.start()
	if err := repositorytest.Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
	repositorytest.Commit(t, r, repositorytest.Manifest(second, repositorytest.Put(t, r, second, "b", big)))
	if err := errors.Join(repositorytest.Reread(t.Context(), r, second), r.Check(t.Context())); err != nil {
		t.Error(err)
	}
}

// killing calls kill when half of it was read.
type killing struct {
	data *bytes.Reader
	at   int
	kill func()
}

func (k *killing) Read(p []byte) (int, error) {
	if k.kill != nil && int(k.data.Size())-k.data.Len() >= k.at {
		k.kill()
		k.kill = nil
	}
	return k.data.Read(p[:min(len(p), 64<<10)])
}
