// Package leaks is for tests: it says whether a package's tests left processes
// behind, on this machine and under this user.
package leaks

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mark is the variable by which everything is known that the tests started,
// however far it has gone from them. What clears its environment is not found.
const mark = "LOCKSTEP_TEST_PROCESS"

// patience is how long what is about to end may take to do so.
const patience = 10 * time.Second

// Main runs a package's tests, as the whole of its TestMain, and fails them when
// processes are left. It does not return. Tests that start processes mostly wait
// for them, so four run at once where there are fewer cores.
func Main(m *testing.M) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < 4 && !given("test.parallel") {
		_ = flag.Set("test.parallel", "4")
	}
	value := strconv.Itoa(os.Getpid())
	_ = os.Setenv(mark, value)
	code := m.Run()
	if left := wait(value, patience); len(left) > 0 {
		fmt.Printf("--- FAIL: these processes were left behind by the tests\n    %s\n", strings.Join(left, "\n    "))
		code = max(code, 1)
	}
	os.Exit(code)
}

// given reports whether that flag stands on the command line.
func given(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// wait gives what is left once nothing is, or patience has run out.
func wait(value string, patience time.Duration) []string {
	end := time.Now().Add(patience)
	for {
		left := marked(value)
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// marked lists the processes with that mark, this one aside: id and command.
func marked(value string) []string {
	var found []string
	entry := []byte(mark + "=" + value)
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		dir := filepath.Dir(file)
		pid := filepath.Base(dir)
		environ, err := os.ReadFile(file)
		if err != nil || pid == strconv.Itoa(os.Getpid()) {
			continue // it has ended, or is somebody else's
		}
		for v := range bytes.SplitSeq(environ, []byte{0}) {
			if bytes.Equal(v, entry) {
				command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
				found = append(found, pid+" "+strings.TrimSpace(string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))))
			}
		}
	}
	return found
}
