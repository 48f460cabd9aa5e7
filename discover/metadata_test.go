package discover

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/source"
)

func refs(names ...string) []lockstep.JobRef {
	var out []lockstep.JobRef
	for _, n := range names {
		job, release, _ := strings.Cut(n, "@")
		out = append(out, lockstep.JobRef{Job: job, Release: release})
	}
	return out
}

// spoken are outputs of metadata scripts and what is made of them.
var spoken = map[string]struct {
	text string
	want said
	err  string
}{
	"nothing":       {text: ""},
	"only comments": {text: "# x\n\n"},
	"dashes":        {text: "---\n"},
	"null":          {text: "~"},
	"unknown keys":  {text: "a: b\nc: [1, {d: e}]\n"},
	"null values":   {text: "backup_name:\nbackup_should_be_locked_before:\nscript_timeout:\n"},
	"indented":      {text: "  skip_bbr_scripts: true\n  other: x\n", want: said{skip: true}},
	"yaml 1.1 flag": {text: "skip_bbr_scripts: yes", want: said{skip: true}},
	"all": {
		text: `---
backup_name: b
restore_name: r
backup_should_be_locked_before:
- {job_name: uaa, release: uaa}
- job_name: api
  release: capi
  since: 4
- {job_name: uaa, release: uaa}
restore_should_be_locked_before: [{job_name: api, release: capi}]
skip_bbr_scripts: false
may_be_empty: true
restore_parallel: true
script_timeout: 90s
`,
		want: said{Metadata: lockstep.Metadata{
			BackupBefore: refs("uaa@uaa", "api@capi"), RestoreBefore: refs("api@capi"),
			MayBeEmpty: true, RestoreParallel: true, ScriptTimeout: 90 * time.Second,
			DiscontinuedBackupName: true, DiscontinuedRestoreName: true,
		}},
	},
	"aliases":        {text: "x: &x {job_name: a, release: r}\nbackup_should_be_locked_before: [*x]", want: said{Metadata: lockstep.Metadata{BackupBefore: refs("a@r")}}},
	"number as name": {text: "backup_should_be_locked_before: [{job_name: 1, release: 2}]", want: said{Metadata: lockstep.Metadata{BackupBefore: refs("1@2")}}},
	"no release":     {text: "backup_should_be_locked_before: [{job_name: a}]", err: "both job name and release should be specified for should be locked before"},
	"no job":         {text: "restore_should_be_locked_before: [{release: a}]", err: "both job name and release should be specified for should be locked before"},
	"empty entry":    {text: "restore_should_be_locked_before: [{}]", err: "both job name and release should be specified for should be locked before"},
	"bad name":       {text: "backup_should_be_locked_before: [{job_name: \"a\\nb\", release: r}]", err: `job_name "a\nb"`},
	"no list":        {text: "backup_should_be_locked_before: a", err: "line 1: backup_should_be_locked_before: this is not a list"},
	"no mapping":     {text: "- a", err: "line 1: this is not a mapping"},
	"text":           {text: "hello", err: "line 1: this is not a mapping"},
	"no YAML":        {text: "a: [", err: "yaml: line 1"},
	"twice":          {text: "may_be_empty: true\nmay_be_empty: false", err: `line 2: key "may_be_empty" is there twice`},
	"merge key": {
		text: "x: &x {may_be_empty: true, skip_bbr_scripts: false}\ny: &y {restore_parallel: true, may_be_empty: false}\n<<: [*x, *y]\nskip_bbr_scripts: true",
		want: said{Metadata: lockstep.Metadata{MayBeEmpty: true, RestoreParallel: true}, skip: true},
	},
	"merge of a text": {text: "<<: a", err: "line 1: this is not a mapping"},
	"key of two":      {text: "? [a]\n: b", err: "line 1: a key is not a plain name"},
	"1.1 flags":       {text: "may_be_empty: On\nskip_bbr_scripts: YES\nrestore_parallel: N", want: said{Metadata: lockstep.Metadata{MayBeEmpty: true}, skip: true}},
	"flag in quotes":  {text: "skip_bbr_scripts: \"yes\"", err: `"yes" is not true or false`},
	"no flag":         {text: "may_be_empty: 1", err: `"1" is not true or false`},
	"no duration":     {text: "script_timeout: 90", err: `"90" is not a duration`},
	"negative":        {text: "script_timeout: -1s", err: `"-1s" is not a duration`},
	"alias to itself": {text: "a: &a [*a]", err: "nest too deeply"},
	"deep":            {text: "a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), err: "nest too deeply"},
	"bomb":            {text: bomb(), err: "more than 20000 values"},
	"too long":        {text: strings.Repeat("#", maxMetadata+1), err: "longer than 1 MiB"},
}

//fault:49 alias bombs, wrong types, duplicate keys | refused within bounds
func TestParseMetadata(t *testing.T) {
	t.Parallel()
	for name, c := range spoken {
		got, err := parseMetadata([]byte(c.text), false)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q", name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantEqual(t, name, c.want.Metadata, got.Metadata)
		wantEqual(t, name, c.want.skip, got.skip)
	}
}

// TestContract_2_4_LenientIsWhatTheOriginalTakes: it reads with a library that
// lets the last of equal keys count, knows YAML 1.1 and none of our own keys,
// and looks at no name.
func TestContract_2_4_LenientIsWhatTheOriginalTakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text   string
		want   said
		passed string
	}{
		"a key twice": {
			text:   "skip_bbr_scripts: false\nbackup_should_be_locked_before: [{job_name: a, release: r}]\nskip_bbr_scripts: true\nbackup_should_be_locked_before: [{job_name: b, job_name: c, release: r}]",
			want:   said{Metadata: lockstep.Metadata{BackupBefore: refs("c@r")}, skip: true},
			passed: `line 1: key "skip_bbr_scripts" is there again later, which counts;line 2: key "backup_should_be_locked_before" is there again later, which counts;line 4: key "job_name" is there again later, which counts`,
		},
		"keys of ours": {
			text:   "may_be_empty: perhaps\nrestore_parallel: [1]\nscript_timeout: never\nskip_bbr_scripts: On",
			want:   said{skip: true},
			passed: `line 1: may_be_empty: "perhaps" is not true or false;line 2: restore_parallel: this is not true or false;line 3: script_timeout: "never" is not a duration with a unit, as 90s or 1h, up to 720h0m0s`,
		},
		"names that nobody has": {
			text:   "restore_should_be_locked_before: [{job_name: a/b, release: r}, {job_name: a, release: my release}, {job_name: a, release: r}]",
			want:   said{Metadata: lockstep.Metadata{RestoreBefore: refs("a@r")}},
			passed: `line 1: no job is called so: job_name "a/b": a name has letters, digits, '_', '.' and '-' only and starts with a letter or digit;line 1: no job is called so: release "my release": a name has letters, digits, '_', '.' and '-' only and starts with a letter or digit`,
		},
		"nothing odd": {text: "skip_bbr_scripts: false\nx: {y: z}"},
	} {
		got, err := parseMetadata([]byte(c.text), true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantEqual(t, name, c.want.Metadata, got.Metadata)
		wantEqual(t, name, c.want.skip, got.skip)
		wantEqual(t, name, c.passed, strings.Join(got.passed, ";"))
	}
	for _, text := range []string{"skip_bbr_scripts: 1", "backup_should_be_locked_before: [{job_name: a}]", "backup_should_be_locked_before: a", "- a"} {
		if _, err := parseMetadata([]byte(text), true); err == nil {
			t.Errorf("%q, which the original refuses, is taken", text)
		}
	}
}

// bomb is a billion values in a few lines.
func bomb() string {
	s := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 9; i++ {
		s += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	return s
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte("backup_should_be_locked_before: [{job_name: a, release: b}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte(bomb()))
	f.Add([]byte("script_timeout: 1h\nmay_be_empty: off"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseMetadata(data, len(data)%2 == 0)
		if err != nil {
			return
		}
		for _, r := range append(got.BackupBefore, got.RestoreBefore...) {
			if lockstep.CheckName("job", r.Job) != nil || lockstep.CheckName("release", r.Release) != nil {
				t.Fatalf("reference %+v", r)
			}
		}
		if got.ScriptTimeout < 0 || got.ScriptTimeout > maxTimeout {
			t.Fatalf("timeout %s", got.ScriptTimeout)
		}
	})
}

func TestMetadataScriptsAreRunAsTheContractSays(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.script("gate", "metadata", `#!/bin/sh
[ "$BBR_VERSION" = 1.9.0 ] || exit 1
[ $# = 0 ] || exit 2
[ -z "$(cat)" ] || exit 3
case $0 in */gate/hooks/metadata) ;; *) exit 4 ;; esac
[ -z "$tmp$marker$quiet$limit" ] || exit 5
[ "${LC_ALL-none}" = `+"`printenv PROBE_TEST_LC || echo none`"+` ] || exit 6
(: >&3) 2>/dev/null && exit 7
set -x
echo may_be_empty: true
`)
	m.script("noshebang", "metadata", "echo 'restore_parallel: true'")
	m.script("empty", "metadata", "")
	m.script("noisy", "metadata", "#!/bin/sh\ni=0; while [ $i -lt 3000 ]; do echo ---------------------------------------------------- >&2; i=$((i+1)); done; echo may_be_empty: true")
	m.script("nonl", "metadata", "printf 'may_be_empty: true'")
	d, _ := discover(t, deployment(t, m))
	got := map[string]lockstep.Metadata{}
	for _, j := range d.Instances[0].Jobs {
		got[j.Name] = j.Metadata
	}
	wantEqual(t, "metadata", map[string]lockstep.Metadata{
		"gate": {MayBeEmpty: true}, "noshebang": {RestoreParallel: true}, "empty": {},
		"noisy": {MayBeEmpty: true}, "nonl": {MayBeEmpty: true},
	}, got)
}

//fault:49 metadata scripts that fail, print without an end, print YAML that is none | the job and the instance are named, with what the script said; nothing is locked
//fault:75 metadata scripts that hang or ignore TERM | they are stopped at their limit and named
func TestMetadataScriptsThatFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, err string
		timeout   time.Duration
	}{
		"exit":         {text: "echo why >&2; exit 3", err: "An error occurred while running metadata script for job bad on g/0: exit 3: why"},
		"exit quiet":   {text: "exit 1", err: "job bad on g/0: exit 1: nothing on stderr"},
		"hang":         {text: "sleep 100", timeout: time.Second, err: "job bad on g/0: it did not end in time and was stopped: nothing on stderr"},
		"hang half":    {text: "echo may_be_empty: true; echo so far >&2; sleep 100", timeout: time.Second, err: "it did not end in time and was stopped: so far"},
		"ignores TERM": {text: "trap '' TERM; echo may_be_empty: true; sleep 100", timeout: time.Second, err: "job bad on g/0: it did not end in time and was stopped"},
		"endless":      {text: "yes", err: "Parsing metadata from job bad on g/0 failed: it is longer than 1 MiB"},
		"bad YAML":     {text: "echo 'a: ['", err: "Parsing metadata from job bad on g/0 failed: yaml: "},
		"no release":   {text: "echo 'backup_should_be_locked_before: [{job_name: a}]'", err: "both job name and release should be specified for should be locked before"},
		"NUL and all":  {text: "printf 'a\\0end\\0\\0000\\0000\\000b'", err: "Parsing metadata from job bad on g/0 failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t).script("bad", "metadata", c.text).script("bad", "backup", "").script("good", "backup", "")
			_, notes, err := Discover(t.Context(), deployment(t, m), Options{MetadataTimeout: c.timeout})
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if lockstep.HintOf(err) == "" {
				t.Errorf("%v has no hint", err)
			}
			wantEqual(t, "notes", []string{"g/0/good/backup"}, messages(notes, "info"))
		})
	}
}

func TestAMetadataScriptThatLeavesADaemonIsWaitedForInVainOnly(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "metadata", "echo may_be_empty: true; sleep 100 &")
	d, _, err := Discover(t.Context(), deployment(t, m), Options{MetadataTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if !d.Instances[0].Jobs[0].Metadata.MayBeEmpty {
		t.Error("what the script said before is lost")
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.script("add", "metadata", "echo 'backup_should_be_locked_before: [{job_name: x, release: rx}]'")
	m.script("swap", "metadata", "exit 1").script("swap", "backup", "")
	m.script("gone", "metadata", "exit 1").script("gone", "backup", "")
	m.script("off", "metadata", "echo skip_bbr_scripts: true").script("off", "backup", "")
	r := deployment(t, m)
	r.Overrides.Jobs = map[string]source.JobOverride{
		"add":    {Metadata: lockstep.Metadata{BackupBefore: refs("x", "y"), RestoreBefore: refs("y"), ScriptTimeout: time.Minute}},
		"swap":   {Replace: true, Metadata: lockstep.Metadata{MayBeEmpty: true}},
		"gone":   {Skip: true},
		"absent": {Skip: true},
	}
	d, notes := discover(t, r)
	wantEqual(t, "jobs", []string{"add:metadata", "swap:metadata,backup"}, jobs(d.Instances[0]))
	wantEqual(t, "add", lockstep.Metadata{BackupBefore: refs("x", "y"), RestoreBefore: refs("y"), ScriptTimeout: time.Minute}, d.Instances[0].Jobs[0].Metadata)
	wantEqual(t, "swap", lockstep.Metadata{MayBeEmpty: true}, d.Instances[0].Jobs[1].Metadata)
	wantEqual(t, "disabled", []string{"Found disabled jobs on instance g/0 jobs: gone off"}, messages(notes, "debug"))
	wantEqual(t, "orders", []string{
		"g/0/add/metadata",
		"Detected order: add should be locked before x during backup",
		"Detected order: add should be locked before y during backup",
		"Detected order: add should be locked before y during restore",
		"g/0/swap/metadata", "g/0/swap/backup",
	}, messages(notes, "info"))
}

func TestReleasesAndOneRestoreAll(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("db", "metadata", "echo 'backup_should_be_locked_before: [{job_name: x, release: rx}]'")
	m.script("addon", "backup", "")
	r := deployment(t, m, m)
	r.Overrides.Releases = map[string]map[string]string{"g": {"db": "dbs"}}
	r.Overrides.OneRestoreAll = map[string]map[string]bool{"g": {"db": true}}
	d, notes := discover(t, r)
	const custom = "db-dbs-backup-one-restore-all"
	for i, want := range []string{custom, ""} {
		j := d.Instances[i].Jobs[1]
		if j.Release != "dbs" || j.CustomArtifact != want || j.RestoresFrom != custom {
			t.Errorf("instance %d: %+v", i, j)
		}
		wantEqual(t, "order", refs("x@rx"), j.Metadata.BackupBefore)
	}
	wantEqual(t, "warnings", []string{"could not find release name for job addon"}, d.Warnings)
	if got := messages(notes, "info"); !strings.Contains(strings.Join(got, "\n"), "Detected order: db should be locked before rx/x during backup") {
		t.Errorf("notes %q", got)
	}
}

func FuzzParseFrames(f *testing.F) {
	f.Add([]byte("noise m\x00list\x00\x000\x003\x00abcscripts\x00\x000\x000\x00end\x00\x000\x000\x00"))
	line := strings.Repeat("0a", 32) + "  j/a/./backup\nmode 777 j/a/./backup\n"
	f.Add([]byte(fmt.Sprintf("m\x00list\x00\x000\x000\x00scripts\x00\x000\x00%d\x00%send\x00\x000\x000\x00", len(line), line)))
	f.Add([]byte("m\x00stdout\x00j/a/./metadata\x00t9\x0099999999999999999999\x00"))
	way, err := newLayout(lockstep.Locations{Scripts: "j/{job}"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, err := parseFrames(data, "m")
		if err != nil {
			return
		}
		p, err := way.interpret("g/0", frames)
		if err != nil {
			return
		}
		for job, scripts := range p.scripts {
			if lockstep.CheckName("job", job) != nil || len(scripts) == 0 {
				t.Fatalf("job %q has %v", job, scripts)
			}
		}
		b := builder{source: source.Instance{Group: "g", ID: "0"}, locations: lockstep.Locations{Scripts: "j/{job}"}}
		_ = b.build(p)
	})
}
