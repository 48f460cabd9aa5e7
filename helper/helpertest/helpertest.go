// Package helpertest makes the helper for tests, which do not rely on `make build`.
package helpertest

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// build makes it once in a process, or takes the file that $LOCKSTEP_TEST_HELPER names,
// where there is no Go. The folder is of the build's cache's size, and is
// removed as soon as the program was read.
var build = sync.OnceValues(func() ([]byte, error) {
	if made := os.Getenv("LOCKSTEP_TEST_HELPER"); made != "" {
		return os.ReadFile(made)
	}
	dir, err := os.MkdirTemp("", "lockstep-helper-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "helper")
	args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", file}
	if overlay := os.Getenv("LOCKSTEP_MUTANT"); overlay != "" { // see test/mutants
		args = append(args, "-overlay", overlay)
	}
	c := exec.Command("go", append(args, "lockstep/cmd/lockstep-helper")...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return nil, &failed{err, out}
	}
	return os.ReadFile(file)
})

type failed struct {
	err error
	out []byte
}

func (f *failed) Error() string { return "build the helper: " + f.err.Error() + "\n" + string(f.out) }

// Program is the helper, for the machine that the test runs on.
func Program(t testing.TB) []byte {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// Packed is the helper as it is built in.
func Packed(t testing.TB) []byte {
	t.Helper()
	packed, err := pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

var pack = sync.OnceValues(func() ([]byte, error) {
	program, err := build()
	if err != nil {
		return nil, err
	}
	return Pack(program)
})

// Pack packs a program as the helper is packed.
func Pack(program []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err == nil {
		_, err = w.Write(program)
	}
	if err == nil {
		err = w.Close()
	}
	return b.Bytes(), err
}

// Machine is what `uname -m` calls the machine that the test runs on.
func Machine(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("uname", "-m").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(out))
}

// File is the helper in a file.
func File(t testing.TB) string {
	t.Helper()
	program := Program(t)
	path := filepath.Join(t.TempDir(), "helper")
	syscall.ForkLock.RLock() // what is forked while the file is open would keep it busy
	err := os.WriteFile(path, program, 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
