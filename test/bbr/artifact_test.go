//go:build bbrsuite

package bbr

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// metadata is section 4.3, read strictly: a key that the original does not know
// is an error.
type metadata struct {
	Instances []struct {
		Name      string
		Index     string
		Artifacts []recorded
	} `yaml:"instances,omitempty"`
	Custom   []recorded `yaml:"custom_artifacts,omitempty"`
	Activity struct {
		Start  string `yaml:"start_time"`
		Finish string `yaml:"finish_time"`
	} `yaml:"backup_activity"`
}

type recorded struct {
	Name      string
	Checksums map[string]string
}

// saved is a backup as somebody reads it who knows section 4 and nothing of us.
type saved struct {
	metadata
	dir string
}

var localTime = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \S+$`)

// readBackup reads a backup and checks all that section 4 demands of any: modes,
// times, and that what the metadata lists is there, with those checksums.
func readBackup(t testing.TB, dir string) saved {
	t.Helper()
	b := saved{dir: dir}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder's mode is %v", info.Mode())
	}
	text, err := os.Open(filepath.Join(dir, "metadata"))
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	decoder := yaml.NewDecoder(text)
	decoder.KnownFields(true)
	if err := decoder.Decode(&b.metadata); err != nil {
		t.Fatalf("metadata: %v", err)
	}
	if !localTime.MatchString(b.Activity.Start) || !localTime.MatchString(b.Activity.Finish) {
		t.Errorf("the times are %+v", b.Activity)
	}
	for _, in := range b.Instances {
		for _, a := range in.Artifacts {
			b.proves(t, fmt.Sprintf("%s-%s-%s.tar", in.Name, in.Index, a.Name), a.Checksums)
		}
	}
	for _, a := range b.Custom {
		b.proves(t, a.Name+".tar", a.Checksums)
	}
	return b
}

// proves checks the checksums of one tar by section 4.4.
func (b saved) proves(t testing.TB, tarName string, checksums map[string]string) {
	t.Helper()
	if checksums == nil {
		t.Errorf("%s has no checksums, not even {}", tarName)
	}
	got := map[string]string{}
	for member, text := range b.members(t, tarName) {
		got[member] = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	}
	if !maps.Equal(got, checksums) {
		t.Errorf("%s: the metadata says %v, the tar holds %v", tarName, checksums, got)
	}
}

// members are the contents of all members of a tar that are not directories. All
// are below ".".
func (b saved) members(t testing.TB, tarName string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(b.dir, tarName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", tarName, err)
		}
		if !strings.HasPrefix(h.Name, "./") {
			t.Errorf("%s has a member %q", tarName, h.Name)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("%s: %v", tarName, err)
		}
		out[h.Name] = string(text)
	}
}

func (b saved) file(t testing.TB, tarName, member string) string {
	t.Helper()
	return b.members(t, tarName)[member]
}

// holds checks what is in a tar.
func (b saved) holds(t testing.TB, tarName string, want map[string]string) {
	t.Helper()
	if got := b.members(t, tarName); !maps.Equal(got, want) {
		t.Errorf("%s holds %v, not %v", tarName, got, want)
	}
}

// lists checks that the metadata has exactly these jobs of one instance.
func (b saved) lists(t testing.TB, group, index string, jobs ...string) {
	t.Helper()
	for _, in := range b.Instances {
		if in.Name != group || in.Index != index {
			continue
		}
		var names []string
		for _, a := range in.Artifacts {
			names = append(names, a.Name)
		}
		slices.Sort(names)
		if !slices.Equal(names, jobs) {
			t.Errorf("of %s/%s the metadata lists %v, not %v", group, index, names, jobs)
		}
		return
	}
	t.Errorf("the metadata lists no instance %s/%s: %+v", group, index, b.metadata)
}

func (b saved) tars() []string {
	found, _ := filepath.Glob(filepath.Join(b.dir, "*.tar"))
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found
}

func (b saved) hasFile(name string) bool {
	_, err := os.Stat(filepath.Join(b.dir, name))
	return err == nil
}
