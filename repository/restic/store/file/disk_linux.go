package file

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// freeBytes is what is free at the path, or where it will be made.
func freeBytes(path string) (int64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	for at := path; errors.Is(err, fs.ErrNotExist) && at != "/"; {
		at = filepath.Dir(at)
		err = unix.Statfs(at, &st)
	}
	if err != nil {
		return -1, fmt.Errorf("free space of repository %q: %w", path, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}
