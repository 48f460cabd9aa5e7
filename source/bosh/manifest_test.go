package bosh

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestContract_2_5_ManifestOfSchema2(t *testing.T) {
	t.Parallel()
	f, err := readManifest(`
releases: [{name: x}]
instance_groups:
- name: redis
  jobs:
  - name: redis
    release: redis-release
    properties: {bbr: {backup_one_restore_all: true}}
  - {name: plain, release: other, properties: {bbr: {backup_one_restore_all: false}}}
  - {name: odd, release: [1], properties: {bbr: {backup_one_restore_all: "true"}}}
  - {name: redis, release: second}
  - {release: nameless}
  - 7
- name: 12
  jobs: [{name: x, release: y}]
- name: empty
- jobs: [{name: x, release: y}]
jobs: [{name: redis, templates: [{name: v1, release: v1}]}]
`)
	want := facts{
		releases:      map[string]map[string]string{"redis": {"redis": "redis-release", "plain": "other"}},
		oneRestoreAll: map[string]map[string]bool{"redis": {"redis": true, "plain": false, "odd": false}},
	}
	if diff := cmp.Diff(want, f, cmp.AllowUnexported(facts{})); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestContract_2_5_ManifestOfSchema1(t *testing.T) {
	t.Parallel()
	f, err := readManifest(`
jobs:
- name: redis
  templates: [{name: redis, release: redis-release}, {name: agent, release: other}]
  properties: {bbr: {backup_one_restore_all: true}}
- name: web
  templates: [{name: web, release: web-release, properties: {bbr: {backup_one_restore_all: true}}}]
`)
	want := facts{
		releases:      map[string]map[string]string{"redis": {"redis": "redis-release", "agent": "other"}, "web": {"web": "web-release"}},
		oneRestoreAll: map[string]map[string]bool{"redis": {"redis": true, "agent": true}, "web": {"web": false}},
	}
	if diff := cmp.Diff(want, f, cmp.AllowUnexported(facts{})); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestContract_2_5_ManifestsThatOnlyYAML11Takes: the director and the original
// let the last of equal keys count and know more words for true.
//
//fault:manifest-of-yaml-1.1 a manifest has a key twice, or says yes for true | releases and backup_one_restore_all are known as the original knows them
func TestContract_2_5_ManifestsThatOnlyYAML11Takes(t *testing.T) {
	t.Parallel()
	f, err := readManifest(`
name: cf
name: cf
x: &bbr {bbr: {backup_one_restore_all: Yes}}
instance_groups:
- name: redis
  jobs:
  - {name: redis, release: old, properties: {bbr: {backup_one_restore_all: off}, bbr: {backup_one_restore_all: on}}, release: new}
  - {name: other, release: r, properties: {<<: *bbr}}
  - {name: none, release: r, properties: {bbr: {backup_one_restore_all: NO}}}
`)
	want := facts{
		releases:      map[string]map[string]string{"redis": {"redis": "new", "other": "r", "none": "r"}},
		oneRestoreAll: map[string]map[string]bool{"redis": {"redis": true, "other": true, "none": false}},
	}
	if diff := cmp.Diff(want, f, cmp.AllowUnexported(facts{})); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestContract_8_23_OddManifestsAreNoError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "null", "text", "[]", "7", "instance_groups: 7", "instance_groups: {name: x}", "jobs: [[[]]]",
		"1: 2\ninstance_groups: [{name: g, 3: 4, jobs: [{name: j, release: r}]}]", "a: &a {jobs: [*b]}"} {
		f, err := readManifest(text)
		if f.releases == nil || f.oneRestoreAll == nil {
			t.Errorf("%q: %+v, %v", text, f, err)
		}
	}
	f, err := readManifest("1: 2\ninstance_groups: [{name: g, 3: 4, jobs: [{name: j, release: r}]}]")
	if err != nil || f.releases["g"]["j"] != "r" {
		t.Errorf("%+v, %v", f, err)
	}
}

func FuzzReadManifest(f *testing.F) {
	f.Add(manifestV2)
	f.Add("jobs: [{name: a, templates: [{name: b, release: c}], properties: {bbr: 1}}]")
	f.Add("a: &a [*a]")
	f.Add("? {a: b}\n: c")
	f.Fuzz(func(t *testing.T, text string) {
		if got, _ := readManifest(text); got.releases == nil {
			t.Error("there are no releases")
		}
	})
}

func FuzzParseVMs(f *testing.F) {
	for _, text := range []string{`{"job_name":"a","id":"b","index":0,"IPs":["x"]}`, "null", "{}", `[{"id":1}]`, `{"index":null}`, "\x00", `{"ips":{}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		vms, err := parseVMs(data)
		for _, vm := range vms {
			if err == nil && (vm.Group == "" || vm.ID == "") {
				t.Errorf("a VM without a name: %+v", vm)
			}
		}
	})
}

func FuzzParseSSHHosts(f *testing.F) {
	for _, text := range []string{`[{"status":"success","ip":"1","host_public_key":"k","id":"a","index":67207977160200}]`, "null", "[null]", `{"status":"success"}`, `[{"status":["success"]}]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := parseSSHHosts(data); err == nil && !json.Valid(data) && len(data) > 0 {
			// Several values may stand one after another; each is valid.
			if eachJSON(data, func(json.RawMessage) error { return nil }) != nil {
				t.Errorf("%q is taken", data)
			}
		}
	})
}

func FuzzTargets(f *testing.F) {
	for _, text := range []string{"a", "https://[::1]:1", "::1", "a:b:c", "%00", "http://x@y"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := directorURL(text); err == nil && len(got) < len("https://x:1") {
			t.Errorf("%q gives %q", text, got)
		}
		_ = withPort(text)
	})
}
