package helper

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// failure is what could not be done to what. fmt is not asked: it is large.
type failure struct {
	doing, what string
	err         error
}

func (f *failure) Error() string {
	return "cannot " + f.doing + " " + strconv.Quote(f.what) + ": " + f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

func failed(doing, what string, err error) error { return &failure{doing, what, err} }

// again does what a signal may break off until it does not.
func again(do func() error) error {
	for {
		if err := do(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// openAt opens a name of a folder; it follows no link.
func openAt(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = again(func() (err error) {
		fd, err = unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

// openDir opens a folder in a folder.
func openDir(dir int, name string) (int, error) {
	return openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
}

// statAt looks at a name of a folder.
func statAt(dir int, name string, st *unix.Stat_t) error {
	return again(func() error { return unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

func stat(fd int, st *unix.Stat_t) error {
	return again(func() error { return unix.Fstat(fd, st) })
}
