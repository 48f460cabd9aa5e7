package demo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// files are what an instance keeps, as the shop sees it. All names are relative to the
// instance's folder. The methods may be called concurrently.
type files interface {
	has(name string) bool
	// makeDir makes a folder, and those above it, where they are missing.
	makeDir(name string) error
	write(name string, content []byte, mode fs.FileMode) error
	// extend adds to a file that is there.
	extend(name string, text string) error
	link(name, second string) error
	symlink(leadsTo, name string) error
	// move gives a file another's name.
	move(name, to string) error
	// remove removes a file, or a folder with all that is in it.
	remove(name string) error
	read(name string) ([]byte, error)
	// list is the names in a folder; there are none in one that is not there.
	list(name string) ([]string, error)
	tree(name string) (tree, error)
	// removal is how people remove something there.
	removal(names ...string) string
}

// folder are the files of an instance that is a folder of this machine.
type folder string

func (f folder) at(name string) string { return filepath.Join(string(f), name) }

func (f folder) has(name string) bool {
	_, err := os.Lstat(f.at(name))
	return err == nil
}

func (f folder) makeDir(name string) error { return os.MkdirAll(f.at(name), 0o755) }

func (f folder) write(name string, content []byte, mode fs.FileMode) error {
	return os.WriteFile(f.at(name), content, mode)
}

func (f folder) extend(name, text string) error {
	file, err := os.OpenFile(f.at(name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

func (f folder) link(name, second string) error     { return os.Link(f.at(name), f.at(second)) }
func (f folder) symlink(leadsTo, name string) error { return os.Symlink(leadsTo, f.at(name)) }
func (f folder) move(name, to string) error         { return os.Rename(f.at(name), f.at(to)) }
func (f folder) remove(name string) error           { return os.RemoveAll(f.at(name)) }
func (f folder) read(name string) ([]byte, error)   { return os.ReadFile(f.at(name)) }
func (f folder) tree(name string) (tree, error)     { return treeOf(f.at(name)) }

func (f folder) list(name string) ([]string, error) {
	entries, err := os.ReadDir(f.at(name))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (f folder) removal(names ...string) string {
	line := "rm -rf"
	for _, n := range names {
		line += " " + shellWord(f.at(n))
	}
	return line
}
