package director

import (
	"path/filepath"
	"testing"

	mock "lockstep/internal/mockdirector"
)

const manifest = `
instance_groups:
- {name: db, jobs: [{name: db, release: shop}]}
- {name: web, jobs: [{name: web, release: shop}]}
`

func TestADeploymentIsBackedUpDestroyedAndRestoredToMachinesMadeAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, second := s.database("old-0", 0, "zero"), s.database("old-1", 1, "one")
	web := mock.NewInstance(t, "web", "uuid-w", 0)
	web.Script(t, "web", "pre-backup-lock", "#!/bin/sh\ncd "+web.Dir+"; touch locked\n")
	web.Script(t, "web", "post-backup-unlock", "#!/bin/sh\ncd "+web.Dir+"; rm -f locked\n")
	s.director.Deploy("cf", manifest, first, second, web)
	s.more = "    jobs: {web: {lock_before: [db]}}"
	s.configure()

	contains(t, s.must("config", "validate"), "")
	shown := s.must("config", "show")
	contains(t, shown, "bosh:", "client_secret_file: "+filepath.Join(s.dir, "secret"))
	plan := s.must("plan", "prod")
	contains(t, plan, "lock 1    web", "lock 2    db", "db/old-0, db/old-1")
	spotless(t, first, second, web)
	s.must("check", "prod")
	spotless(t, first, second, web)
	before := first.Server.Accepted()
	b := s.mustRun("backup", "prod")
	if b.State != "succeeded" || b.Data != "verified" || b.Locks != "released" || len(b.Artifacts) != 2 {
		t.Errorf("backup: %+v", b)
	}
	if n := first.Server.Accepted() - before; n != 1 {
		t.Errorf("the backup made %d connections to an instance", n)
	}
	spotless(t, first, second, web)

	// The machines are lost; the director makes others in their place, with
	// other ids, addresses and host keys.
	_, _ = first.Server.Close(), second.Server.Close()
	newFirst, newSecond := s.database("new-0", 0, "nothing"), s.database("new-1", 1, "nothing")
	s.director.Deploy("cf", manifest, newFirst, newSecond, web)
	r := s.mustRun("restore", "prod", "latest", "--yes")
	if r.State != "succeeded" || r.Backup != b.Backup {
		t.Errorf("restore: %+v", r)
	}
	if content(t, newFirst, "data") != "zero" || content(t, newSecond, "data") != "one" {
		t.Errorf("restored %q and %q", content(t, newFirst, "data"), content(t, newSecond, "data"))
	}
	spotless(t, newFirst, newSecond, web)
	for _, id := range []string{b.ID, r.ID} {
		s.must("runs", "audit", id)
	}
	contains(t, s.must("runs", "show", b.ID), "db/old-0")
	s.holdsNoSecret("state")
}
