package spill

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// unnamed makes a file without a name in a folder.
func unnamed(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDWR|unix.O_TMPFILE, 0o600)
	// An old kernel takes the folder itself for what is to be opened.
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		err = errors.ErrUnsupported
	}
	return f, err
}
