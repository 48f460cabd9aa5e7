package lockstep

import "testing"

// samplePlan is a plan for one machine of that id, address and backup id.
func samplePlan(op Operation, id, address string, backup BackupID) Plan {
	in := InstanceID("db/" + id)
	lock := StepID(string(in) + "/pg/pre-backup-lock")
	slot := Slot{Group: "db", Index: "0", Job: "pg"}
	return Plan{
		Operation: op, Deployment: "shop", Key: "spec:shop", Backup: backup,
		Instances: []Instance{{Group: "db", ID: id, Index: "0", Address: address}},
		Waves: []Wave{
			{StageLock, 1, []Step{{ID: lock, Stage: StageLock, Wave: 1, Instance: in, Slot: slot, Script: &Script{Digest: "aa"}}}},
			{StageUnlock, 1, []Step{{ID: StepID(string(in) + "/pg/post-backup-unlock"), Stage: StageUnlock, Wave: 1, Instance: in, Slot: slot, Of: lock}}},
		},
		Artifacts: []PlannedArtifact{{Slot: slot, Instance: in, Name: "db-0-pg", Dir: "pg"}},
	}
}

func TestPlanDigest(t *testing.T) {
	t.Parallel()
	before := samplePlan(OperationBackup, "aaa", "10.0.0.1", "shop_1")
	anew := samplePlan(OperationBackup, "bbb", "10.0.0.9", "shop_2")
	if before.Digest() != anew.Digest() {
		t.Error("a machine built anew, or a later backup, makes another plan")
	}
	if before.Waves[0].Steps[0].Instance != "db/aaa" || before.Artifacts[0].Instance != "db/aaa" || before.Backup != "shop_1" {
		t.Error("Digest changed the plan")
	}
	changed := samplePlan(OperationBackup, "aaa", "10.0.0.1", "shop_1")
	changed.Waves[0].Steps[0].Script.Digest = "bb"
	if before.Digest() == changed.Digest() {
		t.Error("another script does not make another plan")
	}
	other := samplePlan(OperationBackup, "aaa", "10.0.0.1", "shop_1")
	other.Waves[1].Steps[0].Of = ""
	if before.Digest() == other.Digest() {
		t.Error("an unlock that answers nothing does not make another plan")
	}
	one, two := samplePlan(OperationRestore, "aaa", "", "shop_1"), samplePlan(OperationRestore, "aaa", "", "shop_2")
	if one.Digest() == two.Digest() {
		t.Error("restores of different backups have the same plan")
	}
}
