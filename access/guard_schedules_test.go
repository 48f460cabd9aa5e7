package access

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"lockstep"
	"lockstep/auditlog"
)

// fakeSchedules has a backup of shop and a forget of bank.
type fakeSchedules struct{ effects []string }

var fakeStatuses = map[string]lockstep.Schedule{
	"nightly": {Name: "nightly", Deployment: "shop", Operation: lockstep.ScheduledBackup},
	"tidy":    {Name: "tidy", Deployment: "bank", Operation: lockstep.ScheduledForget},
}

func (f *fakeSchedules) did(what ...string) error {
	f.effects = append(f.effects, strings.Join(what, " "))
	return nil
}

func (f *fakeSchedules) List(context.Context, string) ([]lockstep.ScheduleStatus, error) {
	return []lockstep.ScheduleStatus{{Schedule: fakeStatuses["nightly"]}, {Schedule: fakeStatuses["tidy"]}}, nil
}

func (f *fakeSchedules) Get(_ context.Context, name string) (lockstep.ScheduleStatus, error) {
	s, ok := fakeStatuses[name]
	if !ok {
		return lockstep.ScheduleStatus{}, &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("no"), Hint: "nightly, tidy"}
	}
	return lockstep.ScheduleStatus{Schedule: s}, nil
}

func (f *fakeSchedules) Set(_ context.Context, s lockstep.Schedule, by string) error {
	return f.did("set", s.Name, by)
}
func (f *fakeSchedules) Replace(_ context.Context, seen string, s lockstep.Schedule, by string) error {
	return f.did("replace", seen, s.Name, by)
}
func (f *fakeSchedules) Delete(_ context.Context, n, by string) error { return f.did("delete", n, by) }
func (f *fakeSchedules) Pause(_ context.Context, n, by string) error  { return f.did("pause", n, by) }
func (f *fakeSchedules) Resume(_ context.Context, n, by string) error { return f.did("resume", n, by) }
func (f *fakeSchedules) Next(context.Context, string, int) ([]lockstep.Upcoming, error) {
	return nil, nil
}

func (f *fakeSchedules) Run(_ context.Context, n, by string) (lockstep.SlotRecord, error) {
	return lockstep.SlotRecord{}, f.did("run", n, by)
}

func (f *fakeSchedules) History(_ context.Context, _ string, before int64, _ int) ([]lockstep.SlotRecord, error) {
	if before == 1 {
		return nil, nil
	}
	if before == 0 {
		return []lockstep.SlotRecord{{N: 3, Deployment: "bank"}, {N: 2, Deployment: "bank"}}, nil
	}
	return []lockstep.SlotRecord{{N: 1, Deployment: "shop"}}, nil
}

func TestGuardSchedules(t *testing.T) {
	set := func(s lockstep.Schedule) func(context.Context, lockstep.Schedules) error {
		return func(ctx context.Context, x lockstep.Schedules) error { return x.Set(ctx, s, "somebody else") }
	}
	replace := func(s lockstep.Schedule) func(context.Context, lockstep.Schedules) error {
		return func(ctx context.Context, x lockstep.Schedules) error {
			return x.(lockstep.EditableSchedules).Replace(ctx, "sha256:1", s, "somebody else")
		}
	}
	on := func(do func(lockstep.Schedules, context.Context, string, string) error, name string) func(context.Context, lockstep.Schedules) error {
		return func(ctx context.Context, x lockstep.Schedules) error { return do(x, ctx, name, "somebody else") }
	}
	run := func(x lockstep.Schedules, ctx context.Context, name, by string) error {
		_, err := x.Run(ctx, name, by)
		return err
	}
	get := func(x lockstep.Schedules, ctx context.Context, name, _ string) error {
		_, err := x.Get(ctx, name)
		return err
	}
	operator, viewer := Grant{RoleBackupOperator, "shop"}, Grant{RoleViewer, "shop"}
	both, admin := Grant{RoleBackupOperator, "*"}, Grant{RoleAdmin, "*"}
	backup := lockstep.Schedule{Name: "new", Deployment: "shop", Operation: lockstep.ScheduledBackup}
	forget, strange, taken, theirs, prune := backup, backup, backup, backup, backup
	prune.Operation = lockstep.ScheduledPrune
	forget.Operation, strange.Operation, taken.Name, theirs.Deployment = lockstep.ScheduledForget, "restore", "tidy", "bank"
	for _, tc := range []struct {
		name  string
		grant Grant
		do    func(context.Context, lockstep.Schedules) error
		want  lockstep.Kind // "" is done
	}{
		{"a backup by who may", operator, set(backup), ""},
		{"by who may only see", viewer, set(backup), lockstep.KindForbidden},
		{"of another deployment", operator, set(theirs), lockstep.KindNotFound},
		{"a forget by who may not forget", operator, set(forget), lockstep.KindForbidden},
		{"a forget by an admin", admin, set(forget), ""},
		{"a prune of everybody's repository by an admin of one deployment", Grant{RoleAdmin, "shop"}, set(prune), lockstep.KindForbidden},
		{"a prune by an admin", admin, set(prune), ""},
		{"of no operation", admin, set(strange), lockstep.KindForbidden},
		{"in place of one that is hidden", operator, set(taken), lockstep.KindConflict},
		{"in place of one of more power", both, set(taken), lockstep.KindForbidden},
		{"over what was seen, by who may", operator, replace(backup), ""},
		{"over what was seen, by who may only see", viewer, replace(backup), lockstep.KindForbidden},
		{"over what was seen and is hidden now", operator, replace(taken), lockstep.KindConflict},
		{"over what was seen and is of more power now", both, replace(taken), lockstep.KindForbidden},
		{"pause", operator, on(lockstep.Schedules.Pause, "nightly"), ""},
		{"resume", operator, on(lockstep.Schedules.Resume, "nightly"), ""},
		{"resume a forget", both, on(lockstep.Schedules.Resume, "tidy"), lockstep.KindForbidden},
		{"delete", operator, on(lockstep.Schedules.Delete, "nightly"), ""},
		{"delete by a viewer", viewer, on(lockstep.Schedules.Delete, "nightly"), lockstep.KindForbidden},
		{"run", operator, on(run, "nightly"), ""},
		{"run by a viewer", viewer, on(run, "nightly"), lockstep.KindForbidden},
		{"run a forget", both, on(run, "tidy"), lockstep.KindForbidden},
		{"a hidden one", operator, on(get, "tidy"), lockstep.KindNotFound},
		{"none", operator, on(get, "none"), lockstep.KindNotFound},
		{"one that may be seen", viewer, on(get, "nightly"), ""},
	} {
		f, log := &fakeSchedules{}, &memoryLog{}
		guarded := GuardSchedules(f, log, slog.New(slog.DiscardHandler))
		err := tc.do(as(tc.grant), guarded)
		if lockstep.KindOf(err) != tc.want || (err == nil) != (tc.want == "") || err != nil && len(f.effects) > 0 {
			t.Errorf("%s: %v, did %v; want %q", tc.name, err, f.effects, tc.want)
		}
		for _, e := range f.effects {
			if !strings.HasSuffix(e, "token:ann") || log.last().Action != string(SchedulesWrite) || log.last().Result != auditlog.Allowed {
				t.Errorf("%s: did %q, wrote %+v", tc.name, e, log.last())
			}
		}
		log.fail, f.effects = errors.New("disk full"), nil
		if err := tc.do(as(tc.grant), guarded); len(f.effects) > 0 {
			t.Errorf("%s without an audit log: %v, did %v", tc.name, err, f.effects)
		}
		if err := tc.do(context.Background(), guarded); lockstep.KindOf(err) != lockstep.KindUnauthenticated {
			t.Errorf("%s by nobody: %v", tc.name, err)
		}
	}
}

func TestGuardSchedules_ListsHoldWhatMayBeSeen(t *testing.T) {
	guarded := GuardSchedules(&fakeSchedules{}, &memoryLog{}, nil)
	ctx := as(Grant{RoleViewer, "shop"})
	if list, err := guarded.List(ctx, ""); err != nil || len(list) != 1 || list[0].Name != "nightly" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := guarded.List(ctx, "bank"); err != nil || len(list) != 0 {
		t.Errorf("of another: %+v, %v", list, err)
	}
	if records, err := guarded.History(ctx, "", 0, 2); err != nil || len(records) != 1 || records[0].N != 1 {
		t.Errorf("a page of others' records is passed over: %+v, %v", records, err)
	}
}

func TestAudits_AreForAuditors(t *testing.T) {
	for _, role := range Roles() {
		for _, pattern := range []string{"*", "shop"} {
			_, err := Audits{Log: auditlog.Folder(t.TempDir())}.Read(as(Grant{role, pattern}), auditlog.Query{})
			if may := pattern == "*" && role.Permits(AuditRead); may != (err == nil) {
				t.Errorf("%s@%s: %v", role, pattern, err)
			}
		}
	}
}
