package demo

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// jobScripts are the scripts of the sample deployment's jobs: scripts/JOB/SCRIPT.
//
//go:embed scripts
var jobScripts embed.FS

// sample is the sample deployment: instances on some ground.
type sample struct {
	dir       string
	ground    ground
	instances []*instance
	// db has the job postgres, blobs the job blobstore; the others are web.
	db, blobs *instance
}

// instance is one of them. Its folder is where commands on it begin.
type instance struct {
	group, index, job string
	root              string // its folder where that is one of this machine
	files             files
}

// name is the name of its folder: GROUP-INDEX.
func (i *instance) name() string { return i.group + "-" + i.index }

func newSample(dir string, on ground) *sample {
	s := &sample{dir: dir, ground: on}
	add := func(group, index, job string) *instance {
		i := &instance{group: group, index: index, job: job}
		i.root = filepath.Join(dir, "instances", i.name())
		s.instances = append(s.instances, i)
		return i
	}
	s.db = add("db", "0", "postgres")
	s.blobs = add("blobs", "0", "blobstore")
	for _, index := range []string{"0", "1", "2"} {
		add("web", index, "web")
	}
	return s
}

// inFolder makes the instance's folder on this machine, for its files to be there.
func (i *instance) inFolder() error {
	i.files = folder(i.root)
	// Beside the instances is where their scripts see one another's.
	return errors.Join(os.MkdirAll(i.path("tmp"), 0o755), os.MkdirAll(i.path("..", "..", "network"), 0o755))
}

// local reports whether the instances' folders are ones of this machine.
func (i *instance) local() bool {
	_, is := i.files.(folder)
	return is
}

func (s *sample) webs() []*instance {
	var webs []*instance
	for _, i := range s.instances {
		if i.job == "web" {
			webs = append(webs, i)
		}
	}
	return webs
}

// config is the path of the configuration file.
func (s *sample) config() string { return filepath.Join(s.dir, "lockstep.yaml") }

// layOut gives the instances their jobs' scripts, and the shop its data.
func (s *sample) layOut() error {
	for _, i := range s.instances {
		if err := i.layOut(); err != nil {
			return err
		}
		peers := map[string]string{"web": "peers", "postgres": "webs"}[i.job]
		if peers == "" {
			continue
		}
		if err := i.files.write(peers, []byte(s.seenBy(i)), 0o644); err != nil {
			return err
		}
	}
	return books{s}.begin()
}

// seenBy are the web servers of which an instance's scripts can see whether they are
// closed, a line each: all where the instances are of one machine.
func (s *sample) seenBy(i *instance) string {
	var names strings.Builder
	for _, w := range s.webs() {
		if i.local() || w == i {
			names.WriteString(w.name() + "\n")
		}
	}
	return names.String()
}

func (i *instance) layOut() error {
	scripts, err := fs.Sub(jobScripts, "scripts/"+i.job)
	if err != nil {
		return err
	}
	bin := path.Join("jobs", i.job, "bin")
	if err := i.files.makeDir(bin); err != nil {
		return err
	}
	return fs.WalkDir(scripts, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(scripts, name)
		if err != nil {
			return err
		}
		return i.files.write(path.Join(bin, name), text, 0o755)
	})
}

// configure writes the configuration file: text, and behind it the instances; where
// says of each how it is reached.
func (s *sample) configure(text string, where func(*instance) string) error {
	return os.WriteFile(s.config(), []byte(s.withGroups(text, where)), 0o644)
}

// withGroups is a configuration with the instances behind it; where says of each
// how it is reached.
func (s *sample) withGroups(config string, where func(*instance) string) string {
	var b strings.Builder
	b.WriteString(config)
	group := ""
	for _, i := range s.instances {
		if i.group != group {
			group = i.group
			fmt.Fprintf(&b, "    - name: %s\n      instances:\n", group)
		}
		fmt.Fprintf(&b, "      - {id: %q, %s}\n", i.index, where(i))
	}
	return b.String()
}
