package lockstep

import (
	"fmt"
	"strings"
)

// Request asks for one run.
type Request struct {
	// ID, if not "", is the run's id, chosen by whoever asks: a new version 7
	// UUID of now (NewRunID). Starting the same id again gives the run that
	// there is, and never a second one.
	ID         RunID     `json:"id,omitempty"`
	Operation  Operation `json:"operation"`
	Deployment string    `json:"deployment"`
	// Backup is what a restore reads: an id, or "latest".
	Backup BackupID `json:"backup,omitempty"`
	// Jobs and Instances narrow a restore; empty means all.
	Jobs      []string     `json:"jobs,omitempty"`
	Instances []InstanceID `json:"instances,omitempty"`
	// Without are instances that a restore leaves alone: they are not restored, and
	// neither contacted nor locked. Dead ones that the restore of a part does not need
	// need not be named.
	Without []InstanceID `json:"without,omitempty"`
	// From allows a restore to read another deployment's backup; Map says
	// which slots go where, as OLDGROUP/INDEX to NEWGROUP/INDEX.
	From string            `json:"from,omitempty"`
	Map  map[string]string `json:"map,omitempty"`
	// AllowIncomplete allows a restore to read a backup that is not verified.
	AllowIncomplete bool `json:"allow_incomplete,omitempty"`
	// AcceptChange makes a backup count although it lacks, or has much less of,
	// what earlier ones had.
	AcceptChange bool `json:"accept_change,omitempty"`
	// Tags are what a backup is marked with, for people and for rules of retention.
	Tags []string `json:"tags,omitempty"`
	// Proven says that the backup was read from end to end and compared a
	// moment ago, so that a restore does not read it once more before it places
	// it.
	Proven bool `json:"proven,omitempty"`
	// ForRestore makes a plan show, and a cleanup undo, a restore.
	ForRestore bool `json:"for_restore,omitempty"`
	// TakeOver makes a cleanup claim instances whoever holds them.
	TakeOver bool `json:"take_over,omitempty"`
	// Wait has a run that finds another one at work on its instances begin as
	// soon as that has ended, instead of failing.
	Wait bool `json:"wait,omitempty"`
	// PlanDigest, if not "", is the only plan that may be run.
	PlanDigest string `json:"plan_digest,omitempty"`
	// Approval, if not "", names the approval that a second person gave to this
	// restore, where the deployment asks for one.
	Approval string `json:"approval,omitempty"`
	// By names who asks. A server sets it from who is logged in.
	By string `json:"by,omitempty"`
}

// MaxTags bounds the tags of a backup.
const MaxTags = 16

// CheckTag reports what is wrong with a tag: it follows the grammar of names, and those
// that begin with "lockstep" are the program's own.
func CheckTag(tag string) error {
	if strings.HasPrefix(tag, "lockstep") {
		return fmt.Errorf("tag %q: tags that begin with lockstep are the program's own", tag)
	}
	return CheckName("tag", tag)
}

// CheckTags reports what is wrong with the tags of a backup.
func CheckTags(tags []string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%d tags: a backup has at most %d", len(tags), MaxTags)
	}
	for _, t := range tags {
		if err := CheckTag(t); err != nil {
			return err
		}
	}
	return nil
}

// Partial reports whether a restore is narrowed: to some jobs, or to some instances.
func (r Request) Partial() bool { return len(r.Jobs)+len(r.Instances) > 0 }
