package planner

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const before = `deployment shop
instance db/a
job postgres release=pg: pre-backup-lock backup post-backup-unlock
instance db/b
job postgres release=pg: pre-backup-lock backup post-backup-unlock
instance web/0
job uaa before=postgres: pre-backup-lock
job old: backup
`

func TestChanges(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		after string
		want  []string
	}{
		"none": {before, nil},
		"reordered and moved": {`deployment shop
instance web/0
job old: backup
job uaa before=postgres: pre-backup-lock
instance db/b index=1
job postgres release=pg: post-backup-unlock pre-backup-lock backup
instance db/a index=0
job postgres release=pg: backup pre-backup-lock post-backup-unlock
`, nil},
		"instances": {`deployment shop
instance db/a
job postgres release=pg: pre-backup-lock backup post-backup-unlock
instance db/c
job postgres release=pg: pre-backup-lock backup post-backup-unlock
instance db/d
`, []string{"instance web/0 is gone", "instance db/c was db/b before", "instance db/d is new"}},
		"jobs": {`deployment shop
instance db/a
job postgres release=pg2: pre-backup-lock backup
instance db/b
job postgres release=pg timeout=2h may-be-empty: pre-backup-lock backup post-backup-unlock restore
instance web/0
job uaa before=postgres:pg restore-before=postgres:
job young: backup
`, []string{
			"job postgres on db/a lost its post-backup-unlock script",
			"job postgres on db/a changed its release from pg to pg2",
			"job postgres on db/b gained a restore script",
			"job postgres on db/b changed its may_be_empty from false to true",
			"job postgres on db/b changed its script_timeout from 0s to 2h",
			"job old on web/0 is gone",
			"job uaa on web/0 lost its pre-backup-lock script",
			"job uaa on web/0 no longer asks to be locked before postgres during backup",
			"job uaa on web/0 now asks to be locked before postgres of release pg during backup",
			"job uaa on web/0 now asks to be locked before postgres during restore",
			"job young on web/0 is new",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Changes(parseDeployment(t, before), parseDeployment(t, test.after))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChangesOfContent(t *testing.T) {
	t.Parallel()
	old, current := parseDeployment(t, before), parseDeployment(t, before)
	for i := range 2 {
		current.Instances[i].Jobs[0].Scripts[1].Digest = "other"
	}
	current.Instances[2].Jobs[1].Scripts[0].Path = "/elsewhere/backup"
	want := []string{
		"job postgres on db/a, db/b has another backup script: its content changed",
		"job old on web/0 has its backup script elsewhere: /elsewhere/backup",
	}
	if diff := cmp.Diff(want, Changes(old, current)); diff != "" {
		t.Error(diff)
	}
}
