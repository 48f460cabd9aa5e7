package launcher

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lockstep/helper/helpertest"
)

// lendText has the instance lent a shell text as its helper.
func (i *instance) lendText(text string) {
	i.t.Helper()
	i.claim("r1")
	i.Client.lending = lending{}
	i.cfg.Programs = Programs{helpertest.Machine(i.t): packed(i.t, []byte("#!/bin/sh\n[ \"$1\" != version ] || exec echo lockstep-helper 2\n"+text))}
	if _, err := i.Lend(i.ctx()); err != nil {
		i.t.Fatal(err)
	}
}

// TestAHelperThatSaysThatItIsGone, but has said something: it is not as if it had not
// been asked, and whoever tries again does not ask it.
func TestAHelperThatSaysThatItIsGone(t *testing.T) {
	i := newInstance(t, "sh")
	i.lendText("echo lockstep-helper 2; exit 98")
	_, err := i.placed("new", bytes.NewReader(make([]byte, 1024)))
	if err == nil || errors.Is(err, ErrUnlent) || i.Lent() {
		t.Errorf("%v, lent: %v", err, i.Lent())
	}
}

// TestAListGoesOnByTheShell where the helper is killed: nothing was handed on.
func TestAListGoesOnByTheShell(t *testing.T) {
	i := newInstance(t, "sh")
	tree(t, i.dir+"/d")
	want := i.list("d")
	i.lendText("echo lockstep-helper 2; kill -s KILL $$")
	sameItems(t, want, i.list("d"))
	if i.Lent() {
		t.Error("it is asked again")
	}
}

// TestFoldersOfOddNames are read and placed, with a helper too; and what a push that was
// cut off left goes with the run.
func TestFoldersOfOddNames(t *testing.T) {
	eitherWay(t, func(t *testing.T, i *instance) {
		tree(t, i.dir+"/-P")
		want, archive, err := i.read("-P")
		i.ok(err)
		got, err := i.placed("-L", bytes.NewReader(archive))
		i.ok(err)
		sameItems(t, want, got)
		i.ok(os.WriteFile(filepath.Join(i.dir, "run/lockstep/new-helper-1"), nil, 0o600))
		other := i.another("sh")
		_, err = other.Room(i.ctx())
		i.ok(err)
		i.ok(i.Release(i.ctx(), ReleaseDone))
		if left, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/*helper*")); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
		i.ok(other.Close())
	})
}
