//go:build faultpoints

package faultpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

func init() {
	name, count, _ := strings.Cut(os.Getenv(KillAt), ":")
	left, _ := strconv.Atoi(count)
	var log *os.File
	if path := os.Getenv(LogTo); path != "" {
		var err error
		if log, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			panic(fmt.Sprintf("faultpoint: %v", err))
		}
	}
	if name == "" && log == nil {
		return
	}
	var mu sync.Mutex
	act = func(hit string) {
		mu.Lock()
		defer mu.Unlock()
		if log != nil {
			_, _ = log.WriteString(hit + "\n")
		}
		if hit != name {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way; nothing more may happen here
		}
	}
}
