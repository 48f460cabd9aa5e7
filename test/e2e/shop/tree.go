package shop

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// makeTree makes files that tools stumble over.
func makeTree(dir string) error {
	r := rand.New(rand.NewPCG(1, 2))
	var errs []error
	do := func(err error) { errs = append(errs, err) }
	at := func(name string) string { return filepath.Join(dir, name) }
	file := func(name string, size int) {
		do(os.MkdirAll(filepath.Dir(at(name)), 0o755))
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		do(os.WriteFile(at(name), data, 0o640))
	}
	for _, name := range []string{
		"with blank", "two  blanks and a trailing one ", "new\nline", "tab\tand\rreturn", `quote'and"double`, "back\\slash", "$(touch pwned)`id`",
		"-rf", "--exclude=*", "*", "?", "~", "umläut", "not-utf8-\xff\xfe\x80", "\x01\x1b[31m", "..hidden", "a:b=c%d#e",
		strings.Repeat("n", 255), "deep/" + strings.Repeat("directory-that-is-long/", 40) + "leaf",
	} {
		file(name, r.IntN(5000))
	}
	file("empty", 0)
	file("hard/one", 10000)
	do(os.Link(at("hard/one"), at("hard/two")))
	do(os.Link(at("hard/one"), at("a-third-name\nof it")))
	do(os.Symlink("hard/one", at("link")))
	do(os.Symlink("/etc/shadow", at("absolute link")))
	do(os.Symlink("nowhere\n'\xff", at("dangling")))
	do(os.MkdirAll(at("empty-dir/and another"), 0o700))
	file("setuid", 100)
	do(os.Chown(at("setuid"), 1999, 1999))
	do(syscall.Chmod(at("setuid"), 0o4755))
	do(os.MkdirAll(at("sticky"), 0o755))
	do(syscall.Chmod(at("sticky"), 0o3777))
	file("nobody-may-read", 100)
	do(os.Chmod(at("nobody-may-read"), 0))
	for i := range 300 {
		file(fmt.Sprintf("many/%02x/%d", i%16, i), r.IntN(3000))
	}
	for i, name := range []string{"with blank", "empty", "many/00/0", "empty-dir", "many", "."} {
		when := time.Unix(1_000_000_000+int64(i), 123_456_789)
		do(os.Chtimes(at(name), when, when))
	}
	return errors.Join(errs...)
}

// Tree describes every file below the blobs, byte for byte, by path: type,
// mode, owner, time in ns, content, and which names are one file.
func (s *Shop) Tree() (map[string]string, error) {
	root := s.Store.Path(blobDir + "/tree")
	out, first := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		text := fmt.Sprintf("mode %o owner %d:%d mtime %d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" size %d sha256 %x", len(data), sha256.Sum256(data))
			if st.Nlink > 1 {
				if first[st.Ino] == "" {
					first[st.Ino] = name
				}
				text += " same as " + strconv.Quote(first[st.Ino])
			}
		case syscall.S_IFLNK:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " to " + strconv.Quote(to)
		}
		out[strconv.Quote(name)] = text
		return nil
	})
	return out, err
}
