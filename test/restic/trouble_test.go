//go:build restictest

package restic

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic"
	"lockstep/repository/restic/store/s3"
)

// aside is a repository in a bucket that is reached on a way where things go wrong.
type aside struct {
	*site
	way *way
	g   *gateway
}

func newAside(t *testing.T, g *gateway) *aside {
	t.Helper()
	a := &aside{g: g, way: newWay(t, g)}
	a.site = &site{t: t, path: "s3:http://" + g.address + "/" + bucket + "/r", ours: a.another()}
	if _, err := a.ours.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// another is the repository as another process has it.
func (a *aside) another() *restic.Repository {
	s, err := s3.New(s3.Options{
		Endpoint: a.way.addr, Insecure: true, Bucket: bucket, Prefix: "r", PathStyle: true,
		Retries: 2, Patience: 5 * time.Second, Quiet: 2 * time.Second,
	})
	if err != nil {
		a.g.t.Fatal(err)
	}
	return repo(s)
}

// incompressible is an artifact of one file that no two seeds share anything of.
func incompressible(t *testing.T, seed byte, mib int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	size := int64(mib) << 20
	err := w.WriteHeader(&tar.Header{Name: "./file", Typeflag: tar.TypeReg, Mode: 0o600, Size: size})
	if err == nil {
		_, err = io.CopyN(w, rand.NewChaCha8([32]byte{seed}), size)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const large = 44 // MiB: two packs and a part of one

// fails puts what must fail for that reason, and in a bounded time, and leaves nothing that
// counts; hint is a part of what there is to type, or to do.
func (a *aside) fails(data []byte, why, hint string) {
	a.t.Helper()
	id := repositorytest.Begin(a.t, a.ours, "shop_20261123T144241Z")
	_, err := a.ours.Put(a.t.Context(), id, "b", bytes.NewReader(data))
	if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), a.way.addr) || repository.Damage(err) {
		a.t.Errorf("the backup: %v, want %q at %s", err, why, a.way.addr)
	}
	if got := lockstep.HintOf(err); !strings.Contains(got, hint) {
		a.t.Errorf("hint %q of %v", got, err)
	}
	list, err := a.ours.List(a.t.Context(), "")
	if err != nil || len(list) != 1 {
		a.t.Errorf("%d backups are listed, %v", len(list), err)
	}
}

// succeeds makes the second backup, which is whole.
func (a *aside) succeeds(data []byte) {
	a.t.Helper()
	a.backup("shop_20261124T144241Z", map[string][]byte{"b": data})
}

// afterwards all is whole for both programs, once nothing is wrong any more.
func (a *aside) afterwards(first lockstep.Backup, data []byte) {
	a.t.Helper()
	a.way.goes(nil)
	if err := errors.Join(a.ours.Check(a.t.Context()), repositorytest.Reread(a.t.Context(), a.another(), first.ID)); err != nil {
		a.t.Error(err)
	}
	a.clean()
	a.whole(lockstep.Backup{ID: "shop_20261124T144241Z", Artifacts: []lockstep.Artifact{a.artifact("shop_20261124T144241Z")}}, map[string][]byte{"b": data})
}

func (a *aside) artifact(id lockstep.BackupID) lockstep.Artifact {
	a.t.Helper()
	b, err := a.another().Get(a.t.Context(), id)
	if err != nil || len(b.Artifacts) != 1 {
		a.t.Fatalf("%+v, %v", b, err)
	}
	return b.Artifacts[0]
}

// TestTroubleOnTheWay: what a service, or the way to it, does for a while is got over, and
// the backup is whole.
//
//fault:restic-s3-slow the S3 service is slow, answers 500 and 503 now and then, or hangs in the middle of an upload or of an answer | the request is sent again, and the backup is whole for Lockstep and stock restic
func TestTroubleOnTheWay(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(w *way) func(http.ResponseWriter, *http.Request) bool{
		"slow": func(*way) func(http.ResponseWriter, *http.Request) bool {
			return func(_ http.ResponseWriter, r *http.Request) bool {
				time.Sleep(50 * time.Millisecond)
				r.Body = &slowly{r.Body, 8 << 20}
				return false
			}
		},
		"busy": func(*way) func(http.ResponseWriter, *http.Request) bool {
			var n atomic.Int64
			return func(rw http.ResponseWriter, _ *http.Request) bool {
				switch n.Add(1) % 6 {
				case 2:
					return answers(rw, http.StatusServiceUnavailable, "SlowDown")
				case 5:
					return answers(rw, http.StatusInternalServerError, "InternalError")
				}
				return false
			}
		},
		"an upload hangs": func(w *way) func(http.ResponseWriter, *http.Request) bool {
			var n atomic.Int64
			return func(_ http.ResponseWriter, r *http.Request) bool {
				if !packed(r, http.MethodPut) || n.Add(1) != 2 {
					return false
				}
				w.hangs(r)
				return true
			}
		},
		"an answer hangs": func(w *way) func(http.ResponseWriter, *http.Request) bool {
			var n atomic.Int64
			return func(rw http.ResponseWriter, r *http.Request) bool {
				if !packed(r, http.MethodGet) || n.Add(1) != 1 {
					return false
				}
				w.breaksOff(rw, r)
				return true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAside(t, newGateway(t))
			first := a.backup("shop_20261122T144241Z", map[string][]byte{"a": repositorytest.Sample(t, "a")})
			data := incompressible(t, 1, large)
			a.way.goes(trouble(a.way))
			a.succeeds(data)
			if err := repositorytest.Reread(t.Context(), a.another(), "shop_20261124T144241Z"); err != nil {
				t.Error(err)
			}
			a.afterwards(first, data)
		})
	}
}

// TestAServiceThatTakesNoMore: an upload that hangs each time ends the backup, in a bounded
// time. What was stored until then is not sent again by the next one.
//
//fault:restic-s3-hangs the S3 service takes some packs of a backup, and then hangs in the middle of each | the backup fails and says so; the next one sends only what is not stored yet, and stock restic finds the repository clean
func TestAServiceThatTakesNoMore(t *testing.T) {
	t.Parallel()
	a := newAside(t, newGateway(t))
	first := a.backup("shop_20261122T144241Z", map[string][]byte{"a": repositorytest.Sample(t, "a")})
	data := incompressible(t, 2, large)
	var n atomic.Int64
	a.way.goes(func(_ http.ResponseWriter, r *http.Request) bool {
		if !packed(r, http.MethodPut) || n.Add(1) == 1 {
			return false
		}
		a.way.hangs(r)
		return true
	})
	a.fails(data, "save s3:", "what was stored until then is used")
	a.way.goes(nil)
	a.uses(data)
	a.afterwards(first, data)
}

// uses makes the second backup, which must send less than all of it.
func (a *aside) uses(data []byte) {
	a.t.Helper()
	a.way.stored.Store(0)
	a.succeeds(data)
	if sent := a.way.stored.Load(); sent > int64(len(data))-10<<20 {
		a.t.Errorf("%d MiB of %d were sent again", sent>>20, len(data)>>20)
	}
}

// TestAServiceThatIsFull refuses what it has no room for; when there is room again, the next
// backup uses what was stored.
//
//fault:restic-s3-full the disk of the S3 service is full in the middle of a backup | the backup fails at once and says what to type to make room; when there is, the next one uses what was stored, and stock restic finds the repository clean
func TestAServiceThatIsFull(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	g := &gateway{t: t, root: root, versions: t.TempDir()}
	mounted := mount(t, root, "size=40m")
	g.listen()
	a := newAside(t, g)
	first := a.backup("shop_20261122T144241Z", map[string][]byte{"a": repositorytest.Sample(t, "a")})
	data := incompressible(t, 3, large)
	if !mounted {
		var room atomic.Int64
		room.Store(40 << 20)
		a.way.goes(func(rw http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPut && room.Add(-r.ContentLength) < 0 && packed(r, http.MethodPut) && answers(rw, http.StatusInsufficientStorage, "QuotaExceeded")
		})
	}
	a.fails(data, "save s3:", "`lockstep backups forget`")
	a.way.goes(nil)
	if mounted {
		if out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,size=200m", root).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	a.uses(data)
	a.afterwards(first, data)
}

// mount puts a small file system at a folder, and says loudly where that is not possible.
func mount(t *testing.T, folder, options string) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder).CombinedOutput()
	if err != nil {
		t.Logf("*** a quota that the test itself answers with stands in for a file system that is full: %v: %s", err, out)
		return false
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", folder).CombinedOutput(); err != nil {
			t.Errorf("unmount %s: %v: %s", folder, err, out)
		}
	})
	return true
}

// TestRoleCredentialsAreRenewedInABackup: they last an hour, and each request takes twenty
// minutes of it.
func TestRoleCredentialsAreRenewedInABackup(t *testing.T) { // not parallel: it changes the environment
	g := newGateway(t)
	w := newWay(t, g)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	var clock, given atomic.Int64
	now := func() time.Time { return time.Unix(time.Now().Unix()+clock.Load(), 0) }
	m := newMetadata(t, func() (until time.Time) { given.Add(1); return now().Add(time.Hour) })
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", m)
	w.goes(func(http.ResponseWriter, *http.Request) bool { clock.Add(20 * 60); return false })
	s, err := s3.New(s3.Options{Endpoint: w.addr, Insecure: true, Bucket: bucket, Prefix: "role", PathStyle: true, Region: "us-east-1", Retries: 2, Patience: time.Second, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	a := &site{t: t, path: "s3:http://" + g.address + "/" + bucket + "/role", ours: repo(s)}
	if _, err := a.ours.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := given.Load()
	data := map[string][]byte{"a": incompressible(t, 4, 20)}
	m1 := a.backup("shop_20261122T144241Z", data)
	if n := given.Load() - before; n < 2 {
		t.Errorf("credentials were given %d times in the backup", n)
	}
	a.whole(m1, data)
	os.Setenv("AWS_ACCESS_KEY_ID", "lockstep")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "lockstep-secret")
	a.clean()
}
