//go:build bbrsuite

package bbr

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// original makes a backup as the original writes it: tar members below ".", a
// tar of whole 10240-byte blocks, the given metadata.
func original(t testing.TB, dir, metadataText string, tars map[string]map[string]string) string {
	t.Helper()
	for file, members := range tars {
		writeFile(t, filepath.Join(dir, file), tarOf(t, members))
	}
	writeFile(t, filepath.Join(dir, "metadata"), metadataText)
	return dir
}

func tarOf(t testing.TB, members map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	folder := func(name string) {
		if !made[name] {
			made[name] = true
			if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
				t.Fatal(err)
			}
		}
	}
	folder("./")
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if dir := filepath.Dir(name); dir != "." {
			folder("./" + dir + "/")
		}
		text := members[name]
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if rest := b.Len() % 10240; rest != 0 {
		b.Write(make([]byte, 10240-rest))
	}
	return b.String()
}

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// redisBackup is the text of the one file in the backup of redis.
const redisBackup = "this is a backup of redis, and it has 59 bytes in all......\n"

// oldMetadata is metadata as old releases wrote it: an integer as index, no
// times.
func oldMetadata(group, sum string) string {
	return fmt.Sprintf(`instances:
- name: %s
  index: 0
  artifacts:
  - name: redis
    checksums:
      ./redis/redis-backup: %s
`, group, sum)
}

// redisOriginal puts such a backup of one instance in a place's working directory.
func (s *session) redisOriginal(sum string) string {
	s.t.Helper()
	original(s.t, filepath.Join(s.dir, name), oldMetadata(group, sum), map[string]map[string]string{
		group + "-0-redis.tar": {"./redis/redis-backup": redisBackup},
	})
	return name
}

// instanceText is the part of a metadata file on one instance.
func instanceText(group, index string, artifacts map[string]map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- name: %s\n  index: %s\n", group, index)
	b.WriteString(artifactsText("  ", artifacts))
	return b.String()
}

func artifactsText(indent string, artifacts map[string]map[string]string) string {
	var b strings.Builder
	b.WriteString(indent + "artifacts:\n")
	for _, job := range slices.Sorted(maps.Keys(artifacts)) {
		fmt.Fprintf(&b, "%s- name: %s\n%s  checksums:%s", indent, job, indent, checksumsText(indent+"    ", artifacts[job]))
	}
	return b.String()
}

func checksumsText(indent string, members map[string]string) string {
	if len(members) == 0 {
		return " {}\n"
	}
	text := "\n"
	for _, m := range slices.Sorted(maps.Keys(members)) {
		text += fmt.Sprintf("%s%s: %s\n", indent, m, sumOf(members[m]))
	}
	return text
}
