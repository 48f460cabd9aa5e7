package shop

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"lockstep/test/e2e/instances"
)

//go:embed jobs files
var content embed.FS

// Kit is what all shops of a lab share, made once.
type Kit struct {
	Lab *instances.Lab
	// shopd is the program; database an empty PostgreSQL cluster.
	shopd, database string
	pgbin           string
}

// NewKit builds the program and an empty database cluster.
func NewKit(ctx context.Context, lab *instances.Lab, shopd string) (*Kit, error) {
	k := &Kit{Lab: lab, shopd: shopd, database: filepath.Join(lab.Dir, "database")}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, errors.New("find PostgreSQL: no /usr/lib/postgresql/*/bin/initdb")
	}
	k.pgbin = filepath.Dir(found[len(found)-1])
	text := fmt.Sprintf("install -d -m 700 -o postgres %[1]s; cd /; runuser -u postgres -- %[2]s/initdb -D %[1]s -A trust --no-sync; "+
		"echo 'host all all 10.203.0.0/16 trust' >>%[1]s/pg_hba.conf", k.database, k.pgbin)
	if out, err := exec.CommandContext(ctx, "/bin/sh", "-euc", text).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a database cluster: %w: %s", err, out)
	}
	return k, nil
}

// Options say how a shop differs from the usual one.
type Options struct {
	// Change changes the spec of an instance before it is made: "web-0" to
	// "web-2", "db", "store".
	Change func(*instances.Spec)
	// Empty leaves the data out: machines that were just rebuilt.
	Empty bool
	// BigMiB is the size of a blob that does not compress.
	BigMiB int
}

// Shop is one running deployment.
type Shop struct {
	Kit   *Kit
	Web   []*instances.Instance
	DB    *instances.Instance
	Store *instances.Instance
}

// Fronts is how many web instances a shop has.
const Fronts = 3

// Start makes the instances and their software.
func (k *Kit) Start(ctx context.Context, o Options) (*Shop, error) {
	specs := make([]instances.Spec, 0, Fronts+2)
	env := "PGBIN=" + k.pgbin + "\nFRONTS='"
	for i := range Fronts {
		s := instances.Spec{Name: fmt.Sprintf("web-%d", i), Addr: k.Lab.Address()}
		env += " http://" + s.Addr + ":8080"
		specs = append(specs, s)
	}
	db := instances.Spec{Name: "db", Addr: k.Lab.Address()}
	store := instances.Spec{Name: "store", Addr: k.Lab.Address()}
	env += "'\nDB=" + db.Addr + "\nSTORE=" + store.Addr + "\nexport PGBIN\n"
	specs = append(specs, db, store)
	carries := [][]string{{"web"}, {"web"}, {"web"}, {"postgres", "legacy"},
		{"redis", "blobs", "bucket", "noisy", "gated", "disabled"}}
	for i := range specs {
		specs[i].Furnish = func(system, disk string) error {
			return k.furnish(system, disk, env, carries[i])
		}
		if o.Change != nil {
			o.Change(&specs[i])
		}
	}
	made, err := k.Lab.Start(specs...)
	if err != nil {
		return nil, err
	}
	s := &Shop{Kit: k, Web: made[:Fronts], DB: made[Fronts], Store: made[Fronts+1]}
	if o.Empty {
		return s, nil
	}
	if err := s.fill(ctx, o.BigMiB); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Instances are all of them: fronts, database, store.
func (s *Shop) Instances() []*instances.Instance {
	return append(append([]*instances.Instance{}, s.Web...), s.DB, s.Store)
}

// Close destroys the instances.
func (s *Shop) Close() {
	for _, in := range s.Instances() {
		in.Destroy()
	}
}

// furnish puts jobs and software on a disk.
func (k *Kit) furnish(system, disk, env string, jobs []string) error {
	packages := filepath.Join(system, "var/vcap/packages/shop")
	for _, dir := range []string{filepath.Join(packages, "bin"), filepath.Join(system, "var/vcap/data/shop")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := copyFile(k.shopd, filepath.Join(packages, "bin/shopd")); err != nil {
		return err
	}
	boot := "#!/bin/sh\nset -eu\n"
	for _, job := range jobs {
		if err := copyTree("jobs/"+job, filepath.Join(system, "var/vcap/jobs", job, "bin/bbr")); err != nil {
			return err
		}
		switch job {
		case "web", "redis", "blobs", "postgres":
			boot += "/var/vcap/packages/shop/service start " + job + "\n"
		}
		if job == "postgres" {
			if out, err := exec.Command("cp", "-a", k.database, filepath.Join(disk, "postgres")).CombinedOutput(); err != nil {
				return fmt.Errorf("copy the database cluster: %w: %s", err, out)
			}
		}
	}
	return errors.Join(copyTree("files", packages),
		os.WriteFile(filepath.Join(packages, "env"), []byte(env), 0o644),
		os.WriteFile(filepath.Join(system, "var/vcap/boot"), []byte(boot), 0o755))
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

// copyTree copies embedded files; all are programs.
func copyTree(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	files, err := fs.ReadDir(content, from)
	if err != nil {
		return err
	}
	for _, f := range files {
		data, err := content.ReadFile(from + "/" + f.Name())
		if err == nil {
			err = os.WriteFile(filepath.Join(to, f.Name()), data, 0o755)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Spec is the configuration file for this shop. more is put into the
// deployment, ssh into its ssh section, each line as it is.
type Spec struct {
	Name, StateDir, Repository, KnownHosts string
	// IDs are instance ids, in the order of Instances; nil is "0", "1", "2".
	IDs       []string
	SSH, More []string
	// Groups are other names for the groups web, db and store.
	Groups []string
}

// YAML writes the configuration.
func (s *Shop) YAML(spec Spec) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "state_dir: %s\nrepository: {dir: %s}\ndeployments:\n  %s:\n    ssh:\n", spec.StateDir, spec.Repository, spec.Name)
	fmt.Fprintf(&b, "      user: %s\n      identity_file: %s\n      known_hosts: %s\n      identity_agent: none\n      config_file: none\n",
		instances.User, s.Kit.Lab.IdentityFile, spec.KnownHosts)
	for _, line := range spec.SSH {
		fmt.Fprintf(&b, "      %s\n", line)
	}
	for _, line := range spec.More {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	groups := spec.Groups
	if groups == nil {
		groups = []string{"web", "db", "store"}
	}
	b.WriteString("    instance_groups:\n")
	id := func(i, index int) string {
		if spec.IDs != nil {
			return spec.IDs[i]
		}
		return fmt.Sprint(index)
	}
	for i, in := range s.Instances() {
		group, index := 0, i
		if i >= Fronts {
			group, index = i-Fronts+1, 0
		}
		if index == 0 {
			fmt.Fprintf(&b, "    - name: %s\n      instances:\n", groups[group])
		}
		fmt.Fprintf(&b, "      - {id: %q, host: %q}\n", id(i, index), in.Addr)
	}
	return b.Bytes()
}
