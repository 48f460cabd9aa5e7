package dir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// foreign makes a folder as another program would.
func foreign(t *testing.T, r *Repository, id, metadata string, tars map[string][]byte) {
	t.Helper()
	folder := filepath.Join(r.path, id)
	err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(filepath.Join(folder, "metadata"), []byte(metadata), 0o644))
	for name, data := range tars {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, name), data, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
}

const bbrBackup = `instances:
- name: redis-dedicated-node
  index: "0"
  artifacts:
  - name: redis
    checksums:
      ./backupdump1: %s
custom_artifacts:
- name: redis-dedicated-node-redis-backup-one-restore-all
  checksums: {}
backup_activity:
  start_time: 2019/02/27 10:10:30 UTC
  finish_time: 2019/02/27 10:11:30 UTC
`

func TestABackupOfBBRIsListedAsUnproven(t *testing.T) {
	t.Parallel()
	r := open(t)
	tar := repositorytest.Tar(t, repositorytest.Member{Name: ""}, repositorytest.Member{Name: "backupdump1", Content: "dump"})
	const id = "cf_20190227T101030Z"
	foreign(t, r, id, fmt.Sprintf(bbrBackup, sumOf("dump")), map[string][]byte{"redis-dedicated-node-0-redis.tar": tar, "manifest.yml": []byte("x")})
	list, err := r.List(t.Context(), "cf")
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	custom := "redis-dedicated-node-redis-backup-one-restore-all"
	want := lockstep.Backup{
		V: 1, ID: id, Deployment: "cf", Data: lockstep.DataUnproven, StartedAt: time.Date(2019, 2, 27, 10, 10, 30, 0, time.UTC),
		FinishedAt: time.Date(2019, 2, 27, 10, 11, 30, 0, time.UTC), Reasons: list[0].Reasons,
		Artifacts: []lockstep.Artifact{
			{Slot: lockstep.Slot{Group: "redis-dedicated-node", Index: "0", Job: "redis"}, Name: "redis-dedicated-node-0-redis", Bytes: int64(len(tar)), Entries: 1, Checksums: "checksums:c27383b69230e978a2a4981d8dbdc5c81ae3b1e255d91b139aae4eafad7eac63"},
			{Name: custom, Custom: true, Checksums: "checksums:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		},
	}
	if diff := cmp.Diff(want, list[0]); diff != "" || len(list[0].Reasons) != 1 {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, err := repositorytest.Bytes(t.Context(), r, id, "redis-dedicated-node-0-redis"); err != nil || string(got) != string(tar) {
		t.Errorf("Open: %v", err)
	}
	empty, err := r.Open(t.Context(), id, custom)
	if err != nil {
		t.Fatal(err)
	}
	if list, _, err := repository.ReadTar(t.Context(), empty); err != nil || list.Len() != 0 {
		t.Errorf("a custom artifact without a file: %v, %v", list, err)
	}
	sums, err := r.Checksums(t.Context(), id, "redis-dedicated-node-0-redis")
	if diff := cmp.Diff(map[string]string{"./backupdump1": sumOf("dump")}, sums); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if sums, err := r.Checksums(t.Context(), id, custom); err != nil || len(sums) != 0 || sums == nil {
		t.Errorf("custom: %v, %v", sums, err)
	}
	if _, err := r.Checksums(t.Context(), id, "other"); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("Checksums of nothing: %v", err)
	}
	if _, err := r.Entries(t.Context(), id, custom); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("Entries: %v", err)
	}
	if err := r.Discard(t.Context(), id); err == nil {
		t.Error("a foreign backup was discarded")
	}
	if _, err := r.Put(t.Context(), id, "a", strings.NewReader("")); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("Put: %v", err)
	}
	if got := repositorytest.Begin(t, r, id); got != id+"_2" {
		t.Errorf("Begin gave %q", got)
	}
	if err := r.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.path, id)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Delete: %v", err)
	}
}

func TestOldAndBrokenMetadata(t *testing.T) {
	t.Parallel()
	r := open(t)
	foreign(t, r, "old_20170101T000000Z", "---\ninstances:\n- name: node\n  index: 0\n  checksum: x\n  artifacts:\n  - name: job\n    checksums: {}\n- name: none\n  index: 1\n", nil)
	foreign(t, r, "running_20170102T000000Z", "backup_activity:\n  start_time: 2017/01/02 00:00:00 CEST\n", nil)
	foreign(t, r, "broken_20170103T000000Z", "instances: [", nil)
	foreign(t, r, "evil_20170104T000000Z", "custom_artifacts:\n- name: ../../etc/passwd\n", nil)
	foreign(t, r, "twice_20170105T000000Z", "custom_artifacts:\n- name: a\n- name: a\n  checksums: {./x: y}\n", nil)
	foreign(t, r, "blank_20170106T000000Z", "", nil)
	foreign(t, r, "no-backup-at-all", "", nil)
	if err := os.Mkdir(filepath.Join(r.path, "empty_20170107T000000Z"), 0o700); err != nil {
		t.Fatal(err)
	}
	list, err := r.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, b := range list {
		if b.Data != lockstep.DataUnproven || b.StartedAt.Year() != 2017 {
			t.Errorf("%+v", b)
		}
		got[b.Deployment] = b.Reasons[len(b.Reasons)-1]
	}
	for deployment, reason := range map[string]string{
		"old": "written by another program", "running": "no time at which it was finished", "broken": "cannot be read", "evil": "a name has",
		"twice": `names artifact "a" twice`, "blank": "written by another program",
	} {
		if !strings.Contains(got[deployment], reason) {
			t.Errorf("%s: %q", deployment, got[deployment])
		}
		delete(got, deployment)
	}
	if len(got) > 0 {
		t.Errorf("listed too: %v", got)
	}
	old, err := r.Get(t.Context(), "old_20170101T000000Z")
	if err != nil || len(old.Artifacts) != 1 || old.Artifacts[0].Slot.String() != "node/0/job" {
		t.Errorf("%+v, %v", old, err)
	}
	if _, err := r.Open(t.Context(), old.ID, "node-0-job"); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a tar that is missing: %v", err)
	}
}

// What we commit, read as BBR reads it: every regular file's content by the
// name it has in the tar.
func TestMetadataIsWhatBBRReads(t *testing.T) {
	t.Parallel()
	r := open(t)
	id := repositorytest.Begin(t, r, shop)
	long := strings.Repeat("long/", 300) + "x"
	names := []string{"plain", "sub/dir-1.2_x", "no", "1e3", "blank and: #", "\xff\xfe", "new\nline", `q"'\`, "ünï\u0085\ufeff", "\x7f", long, "long\xff" + long}
	members := []repositorytest.Member{{Name: "hard", HardLink: "plain"}, {Name: "soft", SymLink: "plain"}, {Name: "dir/"}}
	want := map[string]string{"./hard": sumOf("plain")}
	for _, name := range names {
		members = append(members, repositorytest.Member{Name: name, Content: name})
		want["./"+name] = sumOf(name)
	}
	a := repositorytest.Put(t, r, id, "db-0-a", repositorytest.Tar(t, members...))
	b := repositorytest.Put(t, r, id, "db-1-a", repositorytest.Tar(t))
	c := repositorytest.Put(t, r, id, "a-rel-backup-one-restore-all", repositorytest.Tar(t, repositorytest.Member{Name: "c", Content: "c"}))
	a.Job, b.Job, b.Index, c.Custom = "a", "a", "1", true
	m := repositorytest.Manifest(id, a, b, c)
	repositorytest.Commit(t, r, m)

	data, err := os.ReadFile(filepath.Join(r.path, string(id), "metadata"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct { // BBR's own types
		Instances []struct {
			Name, Index string
			Artifacts   []bbrArtifact
		}
		Custom   []bbrArtifact     `yaml:"custom_artifacts"`
		Activity map[string]string `yaml:"backup_activity"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	text := fmt.Sprint(got.Instances[0].Artifacts[0].Checksums, got.Instances[1:], got.Custom, got.Activity)
	expected := fmt.Sprint(want, " [{db 1 [{a map[]}]}]", " [{a-rel-backup-one-restore-all map[./c:"+sumOf("c")+"]}] ",
		map[string]string{"start_time": m.StartedAt.In(time.Local).Format(bbrTime), "finish_time": m.FinishedAt.In(time.Local).Format(bbrTime)})
	if text != expected || got.Instances[0].Name != "db" || got.Instances[0].Index != "0" || len(got.Instances[0].Artifacts) != 1 {
		t.Errorf("(-want +got)\n%s\n%s", cmp.Diff(expected, text), data[:400])
	}
	if err := r.CheckForOthers(t.Context(), id, "db-0-a"); err != nil {
		t.Error(err)
	}

	// The same folder without our file is a foreign backup, and reads the same.
	if err := os.Remove(filepath.Join(r.path, string(id), "lockstep.json")); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Checksums(t.Context(), id, "db-0-a"); err != nil || !cmp.Equal(want, got) {
		t.Errorf("Checksums without lockstep.json: %v %s", err, cmp.Diff(want, got))
	}
}
