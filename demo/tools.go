package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"lockstep"
	"lockstep/target"
)

// slowPace is that of the customers while people look around.
const slowPace = 2 * time.Second

// neededTools are the programs that instances need, and so this machine, by the
// package that has them.
var neededTools = map[string][]string{
	"a shell":    {"sh"},
	"util-linux": {"setsid", "flock"},
	"coreutils": {"sha256sum", "dd", "stat", "df", "du", "sort", "cut", "od", "tr", "head", "mkfifo", "sync", "nproc",
		"env", "timeout", "mktemp", "wc", "cat", "cp", "mv", "rm", "mkdir", "sleep", "date"},
	"findutils": {"find", "xargs"},
	"tar":       {"tar"},
	"sed":       {"sed"},
	"grep":      {"grep"},
}

// missingTools says what this machine lacks to be several instances.
func missingTools(path string) error {
	if runtime.GOOS != "linux" {
		return &lockstep.Error{Op: "demo", Err: fmt.Errorf("its instances are on this machine, and instances need Linux; this is %s", runtime.GOOS)}
	}
	var missing, packages []string
	for pkg, tools := range neededTools {
		found := len(missing)
		for _, t := range tools {
			if !inPath(path, t) {
				missing = append(missing, t)
			}
		}
		if len(missing) > found {
			packages = append(packages, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &lockstep.Error{
		Op: "demo", Err: fmt.Errorf("this machine has no %s in PATH", strings.Join(missing, ", ")),
		Hint: "install " + strings.Join(packages, ", "),
	}
}

func inPath(path, tool string) bool {
	for _, dir := range filepath.SplitList(path) {
		info, err := os.Stat(filepath.Join(dir, tool))
		if err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

// runnable tries whether scripts can be run where the demo is.
func runnable(script string) error {
	err := exec.Command(script).Run()
	if errors.Is(err, fs.ErrPermission) {
		return &lockstep.Error{
			Err:  fmt.Errorf("run a script in the demo's folder: %w", err),
			Hint: "the folder may be mounted noexec; choose another: --dir FOLDER",
		}
	}
	return err
}

// again is how to run this program once it has ended.
func again() string {
	self := ourselves()
	if strings.Contains(self, "/go-build") { // go run removes what it has built
		return "go run ./cmd/lockstep"
	}
	return self
}

// ourselves is how to run this program while it runs.
func ourselves() string {
	self, err := os.Executable()
	if err != nil {
		return "lockstep"
	}
	if found, err := exec.LookPath("lockstep"); err == nil && sameFile(found, self) {
		return "lockstep"
	}
	return shellWord(self)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// shellWord is a word for people to copy into a shell.
func shellWord(word string) string {
	harmless := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%", r)
	}
	if word != "" && strings.TrimFunc(word, harmless) == "" {
		return word
	}
	return target.Quote(word)
}
