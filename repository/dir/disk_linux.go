package dir

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback asks the kernel to begin writing a range of the file to the
// medium, and does not wait: the sync at the end then has little left to do.
func startWriteback(f *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE) // advice; Sync reports what fails
}

func freeBytes(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return -1, fmt.Errorf("free space of repository %q: %w", path, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}
