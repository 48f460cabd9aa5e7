package bbr

import (
	"os"
	"syscall"
)

// allocated is how many bytes a file takes on its disk, as du counts them.
func allocated(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
