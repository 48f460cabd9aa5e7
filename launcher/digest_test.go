package launcher

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInventoryOpensNoOther: in a folder where others may change names, a link to a
// file elsewhere takes the place of a file just before that would be opened.
//
//fault:inventory-follows-a-link a writer of the artifact folder swaps in a link while it is listed | root opens no other file; the artifact is unequal
func TestInventoryOpensNoOther(t *testing.T) {
	for name, hide := range map[string]bool{"own mounts": false, "no mounts": true} {
		t.Run(name, func(t *testing.T) {
			i := newInstance(t, "sh")
			dir, secret, bin := filepath.Join(i.dir, "d"), filepath.Join(i.dir, "secret"), filepath.Join(i.dir, "bin")
			write(t, secret, "secret")
			write(t, filepath.Join(dir, "open", "file"), "good")
			i.ok(os.Chmod(filepath.Join(dir, "open"), 0o777))
			i.ok(os.MkdirAll(bin, 0o755))
			if hide {
				i.script("bin/unshare", "#!/bin/sh\nexit 1\n")
			}
			// Each program that reads the file, and no other, finds it replaced.
			for _, tool := range []string{"sha256sum", "openssl", "dd"} {
				path, err := exec.LookPath(tool)
				if err != nil {
					continue
				}
				i.script("bin/"+tool,
					"#!/bin/sh\ncase $* in */file*) ln -sfT '"+secret+"' '"+filepath.Join(dir, "open", "file")+"' && touch '"+i.dir+"/swapped' ;; esac\nexec "+path+" \"$@\"\n")
			}
			t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			err := i.Inventory(i.ctx(), dir, func(it Item) {
				if it.SHA256 == sha256.Sum256([]byte("secret")) {
					t.Errorf("the other file was read as %s", it.Path)
				}
			})
			if !i.exists("swapped") {
				t.Errorf("nothing was swapped (%v)", err)
			}
		})
	}
}

// TestInventoryWithoutMounts is as good as with them, if slower.
func TestInventoryWithoutMounts(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		dir := filepath.Join(i.dir, "d")
		tree(t, dir)
		i.ok(os.Chmod(dir, 0o777))
		want := i.list(dir)
		i.ok(exec.Command("unshare", "-m", "sh", "-c", `cd "$1" && exec "$2" "$3" digest-apart "$2" >"$4"`, "-", dir, sh, i.launcherFile(), filepath.Join(i.dir, "apart")).Run())
		slow, err := exec.Command("find", dir, "-type", "f", "-execdir", sh, i.launcherFile(), "digest-here", dir, "{}", "+").Output()
		i.ok(err)
		fast, err := os.ReadFile(filepath.Join(i.dir, "apart"))
		i.ok(err)
		for which, text := range map[string]string{"slow": string(slow), "apart": string(fast)} {
			got := map[string][32]byte{}
			for line := range strings.Lines(text) {
				path, sum, err := parseSum(strings.TrimSuffix(line, "\n"))
				i.ok(err)
				got[path] = sum
			}
			for path, it := range want {
				if sum, ok := got[path]; it.Type == 'f' && it.Links == 1 && (!ok || sum != it.SHA256) {
					t.Errorf("%s: %q has %x, not %x", which, path, sum, it.SHA256)
				}
			}
			if len(got) < len(nasty) {
				t.Errorf("%s: %d lines", which, len(got))
			}
		}
	})
}

// launcherFile is the launcher's text in a file.
func (i *instance) launcherFile() string {
	path := filepath.Join(i.dir, "launcher.sh")
	write(i.t.(*testing.T), path, text())
	return path
}

// TestInventoryOfManyNames: of a file's names, some may vanish and its count of links
// change while it is listed; a name inside keeps its digest.
func TestInventoryOfManyNames(t *testing.T) {
	eitherWay(t, inventoryOfManyNames)
}

func inventoryOfManyNames(t *testing.T, i *instance) {
	dir, other := filepath.Join(i.dir, "d"), filepath.Join(i.dir, "other")
	write(t, filepath.Join(dir, "a"), "bytes")
	i.ok(os.Mkdir(other, 0o755))
	for n := range 300 {
		i.ok(os.Link(filepath.Join(dir, "a"), filepath.Join(other, string(rune('A'+n)))))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		names, _ := os.ReadDir(other)
		for _, n := range names {
			_ = os.Remove(filepath.Join(other, n.Name()))
			unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
		}
	}()
	for range 3 {
		if got := i.list(dir)["a"]; got.SHA256 != sha256.Sum256([]byte("bytes")) {
			t.Errorf("%+v", got)
		}
	}
	<-done
}
