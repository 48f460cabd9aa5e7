package helper

import (
	"strings"

	"golang.org/x/sys/unix"
)

// folders opens those of paths, part by part, and keeps the last one: members of one
// come one after another.
type folders struct {
	root int
	path string // of fd
	fd   int
}

// parent opens the folder that a path is in, and gives the name there. The folder is
// open until the next call.
func (f *folders) parent(path string) (dir int, name string, err error) {
	in, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		in, name = path[:i], path[i+1:]
	}
	if f.path != in {
		fd, _, err := openParent(f.root, path)
		if err != nil {
			return -1, "", err
		}
		f.close()
		f.path, f.fd = in, fd
	}
	return f.fd, name, nil
}

func (f *folders) close() {
	if f.fd != f.root {
		_ = unix.Close(f.fd)
	}
	f.path, f.fd = "", f.root
}

// open opens the folder of that path.
func (f *folders) open(path string) (int, error) {
	if path == "" {
		return openDir(f.root, ".")
	}
	dir, name, err := f.parent(path)
	if err != nil {
		return -1, err
	}
	return openDir(dir, name)
}

// openParent opens the folder that a path is in; what is not there of the way is made.
// No part of it may be a link.
func openParent(root int, path string) (fd int, name string, err error) {
	fd, err = openDir(root, ".")
	for err == nil {
		i := strings.IndexByte(path, '/')
		if i < 0 {
			return fd, path, nil
		}
		var next int
		next, err = openDir(fd, path[:i])
		if err == unix.ENOENT {
			if err = unix.Mkdirat(fd, path[:i], 0o700); err == nil {
				next, err = openDir(fd, path[:i])
			}
		}
		_ = unix.Close(fd)
		fd, path = next, path[i+1:]
	}
	return -1, "", err
}
