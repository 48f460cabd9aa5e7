package lockstep_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
)

// everyEvent has one value of each type of event, as much of it filled as can
// be: TestEveryEventIsTested fails if a type is missing here.
func everyEvent() []lockstep.EventData {
	claim := lockstep.Resource{Kind: "claim", Instance: "db/0", Name: "launcher", Reach: "ops@10.0.0.11:22"}
	slot := lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}
	at := time.Date(2026, 11, 22, 14, 42, 41, 123456789, time.UTC)
	artifact := lockstep.Artifact{Slot: slot, Instance: "db/0", Name: "db-0-postgres", Bytes: 1 << 40, Entries: 4, Digest: "sha256:00"}
	plan := lockstep.Plan{
		Operation: lockstep.OperationBackup, Deployment: "shop", Key: "ssh:shop", Locations: lockstep.DefaultLocations(),
		Policy: lockstep.BBRPolicy(), Instances: []lockstep.Instance{{Group: "db", ID: "0", Index: "0", Address: "10.0.0.11"}},
		Waves: []lockstep.Wave{{Stage: lockstep.StageLock, Number: 1, Steps: []lockstep.Step{{
			ID: "db/0/postgres/pre-backup-lock", Stage: lockstep.StageLock, Wave: 1, Instance: "db/0", Slot: slot,
			Script: &lockstep.Script{Kind: "pre-backup-lock", Path: "/x/pre-backup-lock"}, Env: []string{"A=<&> \u2028"}, Timeout: time.Hour,
		}}}},
		Artifacts: []lockstep.PlannedArtifact{{Slot: slot, Instance: "db/0", Name: "n", Dir: "d"}}, Warnings: []string{"w"},
	}
	return []lockstep.EventData{
		lockstep.RunOpened{
			Operation: lockstep.OperationRestore, Deployment: "shop", Key: "ssh:shop", Owner: "host/1", Policy: lockstep.LockstepPolicy(),
			Request: lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", Map: map[string]string{"a/0": "b/1"}}, Version: "1",
		},
		lockstep.ResourceAcquiring{Resource: claim}, lockstep.ResourceAcquired{Resource: claim}, lockstep.ResourceReleased{Resource: claim},
		lockstep.Noted{Level: "warn", Message: "odd \x00 \"name\"\n", Instance: "db/0", Job: "postgres"},
		lockstep.RunPlanned{
			Plan: plan, Digest: plan.Digest(), Found: lockstep.Deployment{Name: "shop", Instances: plan.Instances, Warnings: []string{"w"}},
			Expected: &lockstep.Backup{V: 1, ID: "shop_x", StartedAt: at, FinishedAt: at, ConsistentAt: at, Data: lockstep.DataVerified, Artifacts: []lockstep.Artifact{artifact}},
		},
		lockstep.StepStarted{Step: "db/0/postgres/backup", Attempt: 1},
		lockstep.StepFinished{
			Step: "db/0/postgres/backup", Attempt: 2, Outcome: lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: "KILL"},
			Error: "e", Hint: "h", Busy: time.Second, Artifact: &artifact, LeaseFired: true, Warnings: []string{"w"},
		},
		lockstep.LeaseFired{Instance: "db/0"},
		lockstep.LockWindowExceeded{},
		lockstep.CancelRequested{By: "ops"},
		lockstep.RunFailed{Error: "e", Hint: "h", Kind: lockstep.KindConflict},
		lockstep.RunRecovering{Owner: "host/2"},
		lockstep.RunEnded{Ending: lockstep.Ending{
			State: lockstep.RunFailedState, Data: lockstep.DataIncomplete, Locks: lockstep.LocksHeld, Held: []lockstep.Slot{slot},
			ExitCode: 44, Error: "e", Hint: "h",
		}},
		lockstep.HoldAcknowledged{Slot: slot, By: "ops", Reason: "r"},
		lockstep.Progress{Step: "db/0/postgres/collect", Bytes: 1 << 40, Total: 1 << 41},
	}
}

func envelope(data lockstep.EventData) lockstep.Event {
	return lockstep.Event{
		V: lockstep.EventVersion, Run: "018f0000-0000-7000-8000-000000000001", Seq: 1<<63 + 1, Term: 7,
		Time: time.Date(2026, 11, 22, 14, 42, 41, 987654321, time.UTC), Data: data,
	}
}

func TestEventsRoundTrip(t *testing.T) {
	t.Parallel()
	for _, data := range everyEvent() {
		want := envelope(data)
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatalf("%T: %v", data, err)
		}
		var got lockstep.Event
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%T: %v", data, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%T differs (-want +got):\n%s", data, diff)
		}
		again, err := json.Marshal(got)
		if err != nil || string(again) != string(b) {
			t.Errorf("%T: encoded again it is %s, %v; want %s", data, again, err, b)
		}
		var wire map[string]any
		if err := json.Unmarshal(b, &wire); err != nil || wire["type"] != data.EventType() {
			t.Errorf("%T: type on the wire is %v, %v", data, wire["type"], err)
		}
	}
}

// TestEveryEventIsTested reads event.go: each type with a method EventType is
// in everyEvent, under a name of its own.
func TestEveryEventIsTested(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared, tested []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "EventType" && f.Recv != nil {
			declared = append(declared, f.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	names := map[string]bool{}
	for _, data := range everyEvent() {
		tested = append(tested, reflect.TypeOf(data).Name())
		if names[data.EventType()] {
			t.Errorf("two types are named %q", data.EventType())
		}
		names[data.EventType()] = true
	}
	slices.Sort(declared)
	slices.Sort(tested)
	if diff := cmp.Diff(declared, tested); diff != "" {
		t.Errorf("types of event.go and of this test differ (-declared +tested):\n%s", diff)
	}
}

func TestUnknownEvents(t *testing.T) {
	t.Parallel()
	const good = `{"v":1,"run":"r","seq":3,"term":4,"time":"2026-11-22T14:42:41Z","type":"noted","data":{"level":"info"}}`
	var e lockstep.Event
	if err := json.Unmarshal([]byte(good), &e); err != nil {
		t.Fatal(err)
	}
	for name, wire := range map[string]string{
		"version":            strings.Replace(good, `"v":1`, `"v":2`, 1),
		"version and data":   strings.Replace(strings.Replace(good, `"v":1`, `"v":2`, 1), `{"level":"info"}`, `[7]`, 1),
		"no version":         strings.Replace(good, `"v":1,`, ``, 1),
		"type":               strings.Replace(good, `"noted"`, `"teleported"`, 1),
		"type of other case": strings.Replace(good, `"noted"`, `"Noted"`, 1),
		"no type":            strings.Replace(good, `"type":"noted",`, ``, 1),
	} {
		var e lockstep.Event
		if err := json.Unmarshal([]byte(wire), &e); !errors.Is(err, lockstep.ErrUnknownEvent) {
			t.Errorf("%s: got error %v, want ErrUnknownEvent", name, err)
		}
		if e.Run != "r" || e.Seq != 3 || e.Term != 4 || e.Data != nil {
			t.Errorf("%s: envelope is %+v", name, e)
		}
	}
	for name, wire := range map[string]string{
		"wrong data": strings.Replace(good, `{"level":"info"}`, `7`, 1),
		"no data":    strings.Replace(good, `,"data":{"level":"info"}`, ``, 1),
		"cut off":    good[:40],
		"no object":  `[]`,
	} {
		var e lockstep.Event
		if err := json.Unmarshal([]byte(wire), &e); err == nil || errors.Is(err, lockstep.ErrUnknownEvent) {
			t.Errorf("%s: got error %v, want another one", name, err)
		}
	}
}

// FuzzEvent: whatever is read, decoding does not panic, and what it accepts it
// can write and read again.
func FuzzEvent(f *testing.F) {
	for _, data := range everyEvent() {
		b, err := json.Marshal(envelope(data))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"v":1,"type":"noted","data":null}`))
	f.Add([]byte(`{"v":1,"type":"run-planned","data":{"plan":{"waves":[{"steps":[{"script":null}]}]}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e lockstep.Event
		if json.Unmarshal(b, &e) != nil {
			return
		}
		if e.Data == nil {
			t.Fatalf("accepted without data: %q", b)
		}
		again, err := json.Marshal(e)
		if err != nil {
			return // a time of a year that has no text
		}
		var second lockstep.Event
		if err := json.Unmarshal(again, &second); err != nil {
			t.Fatalf("decode %s: %v", again, err)
		}
		if second.Data.EventType() != e.Data.EventType() {
			t.Fatalf("%s became %s", e.Data.EventType(), second.Data.EventType())
		}
	})
}
