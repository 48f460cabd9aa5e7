package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/journal"
)

// The kinds of records that an App keeps in its journal.
const (
	recordBackup     = "backup"      // by backup: what its manifest said when it was committed
	recordVerify     = "verify"      // by backup: how it was read again last
	recordRestoreAck = "restore-ack" // by run: somebody's word about a partial restore
	recordRepository = "repository"  // by location: the identity of what is there
	recordStanding   = "standing"    // by location and key: the newest backups there
)

// Signer signs manifests and checks what others signed.
type Signer interface {
	// Sign gives a signature of a text, as lines of text.
	Sign(text string) (string, error)
	// Check says what a signature of that text is worth, and names its key.
	Check(text, signature string) (state lockstep.SignatureState, signer string)
}

// committed is what the journal keeps of a manifest.
type committed struct {
	Run       lockstep.RunID         `json:"run"`
	Statement string                 `json:"statement_digest"`
	Artifacts []committedArtifact    `json:"artifacts"`
	Data      lockstep.DataState     `json:"data"`
	Signed    bool                   `json:"signed,omitempty"`
	Key       lockstep.DeploymentKey `json:"key,omitempty"`
}

type committedArtifact struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

// remember keeps a record.
func (a *App) remember(ctx context.Context, kind, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return a.cfg.Journal.PutRecord(ctx, journal.Record{Kind: kind, Name: name, Data: data, At: time.Now().UTC()})
}

// rememberBackup makes a manifest known to the journal, before it is committed.
func (a *App) rememberBackup(ctx context.Context, b lockstep.Backup) error {
	c := committed{Run: b.Run, Statement: b.StatementDigest(), Data: b.Data, Signed: b.Signature != "", Key: b.Key}
	for _, art := range b.Artifacts {
		c.Artifacts = append(c.Artifacts, committedArtifact{art.Name, art.Digest, art.Bytes})
	}
	return a.remember(ctx, recordBackup, string(b.ID), c)
}

// known is what the journal keeps of backups, by their ids.
type known struct {
	backups  map[lockstep.BackupID]journal.Record
	verifies map[lockstep.BackupID]journal.Record
}

func (a *App) known(ctx context.Context) (known, error) {
	k := known{map[lockstep.BackupID]journal.Record{}, map[lockstep.BackupID]journal.Record{}}
	for kind, into := range map[string]map[lockstep.BackupID]journal.Record{recordBackup: k.backups, recordVerify: k.verifies} {
		records, err := a.cfg.Journal.Records(ctx, kind)
		if err != nil {
			return k, err
		}
		for _, r := range records {
			into[lockstep.BackupID(r.Name)] = r
		}
	}
	return k, nil
}

// knownOf is known, for one backup.
func (a *App) knownOf(ctx context.Context, id lockstep.BackupID) (known, error) {
	k := known{map[lockstep.BackupID]journal.Record{}, map[lockstep.BackupID]journal.Record{}}
	for kind, into := range map[string]map[lockstep.BackupID]journal.Record{recordBackup: k.backups, recordVerify: k.verifies} {
		r, ok, err := a.cfg.Journal.Record(ctx, kind, string(id))
		if err != nil {
			return k, err
		}
		if ok {
			into[id] = r
		}
	}
	return k, nil
}

// stand completes a backup with all that is known of it here, and judges it.
func (a *App) stand(b *lockstep.Backup, k known) error {
	if r, ok := k.verifies[b.ID]; ok {
		var v lockstep.Verification
		if err := json.Unmarshal(r.Data, &v); err != nil {
			return fmt.Errorf("read what the journal keeps of the verify of backup %s: %w", b.ID, err)
		}
		// Whoever can write there could have taken the result away.
		// A result from before the commit is of another backup of that name.
		if !v.At.Before(b.FinishedAt) && (b.Verified == nil || v.At.After(b.Verified.At)) {
			b.Verified = &v
		}
	}
	proof := a.signature(b)
	err := compareWithJournal(b, k, &proof)
	b.Proof = &proof
	b.Stand()
	return err
}

func (a *App) signature(b *lockstep.Backup) lockstep.Proof {
	p := lockstep.Proof{Signature: lockstep.SignatureNone, Journal: lockstep.JournalSilent}
	if b.Signature == "" {
		return p
	}
	p.Signature = lockstep.SignatureUnknown
	if a.cfg.Signer != nil {
		p.Signature, p.Signer = a.cfg.Signer.Check(b.Statement(), b.Signature)
	}
	if p.Signature == lockstep.SignatureBad {
		p.Wrong = "its manifest is not the one that was signed: somebody changed it"
	}
	return p
}

// compareWithJournal compares a manifest with what the journal wrote down
// before it was committed.
func compareWithJournal(b *lockstep.Backup, k known, p *lockstep.Proof) error {
	r, ok := k.backups[b.ID]
	if !ok {
		return nil
	}
	var c committed
	if err := json.Unmarshal(r.Data, &c); err != nil {
		return fmt.Errorf("read what the journal keeps of backup %s: %w", b.ID, err)
	}
	if b.Data == lockstep.DataUnproven && b.Recorded == "" && b.Run == "" {
		p.Journal, p.Wrong = lockstep.JournalDiffers, "the journal knows it as a backup of ours, and it has no manifest that can be read"
		return nil
	}
	p.Journal = lockstep.JournalAgrees
	if why := c.differs(b); why != "" {
		p.Journal, p.Wrong = lockstep.JournalDiffers, why
	}
	return nil
}

// differs says in what a manifest is not the one that was committed, or "".
func (c committed) differs(b *lockstep.Backup) string {
	for _, was := range c.Artifacts {
		is, ok := b.Named(was.Name)
		switch {
		case !ok:
			return fmt.Sprintf("its manifest lacks artifact %q, which the journal saw committed", was.Name)
		case is.Digest != was.Digest || is.Bytes != was.Bytes:
			return fmt.Sprintf("artifact %q is not the one that the journal saw proven: somebody changed it, and the digests with it", was.Name)
		}
	}
	switch {
	case len(b.Artifacts) != len(c.Artifacts):
		return "its manifest names artifacts that the journal did not see committed"
	case b.StatementDigest() != c.Statement:
		return "its manifest is not the one that the journal saw committed: somebody changed it"
	case c.Signed && b.Signature == "":
		return "its manifest was signed, and the signature is gone"
	}
	return ""
}

// fromRun compares a backup that no record is of, made by an older program,
// with the events of its run, where the journal has them.
func (a *App) fromRun(ctx context.Context, b *lockstep.Backup) error {
	if b.Run == "" || b.Proof == nil || b.Proof.Journal != lockstep.JournalSilent {
		return nil
	}
	run, err := a.Run(ctx, b.Run)
	if lockstep.KindOf(err) == lockstep.KindNotFound {
		return nil
	}
	if err != nil && !errors.Is(err, lockstep.ErrUnknownEvent) {
		return err
	}
	if err != nil || run.Plan == nil || run.BackupID() != b.ID {
		return nil
	}
	was := run.Manifest(b.FinishedAt)
	c := committed{Statement: b.StatementDigest()}
	for _, art := range was.Artifacts {
		c.Artifacts = append(c.Artifacts, committedArtifact{art.Name, art.Digest, art.Bytes})
	}
	b.Proof.Journal = lockstep.JournalAgrees
	if why := c.differs(b); why != "" {
		b.Proof.Journal, b.Proof.Wrong = lockstep.JournalDiffers, why
		b.Stand()
	}
	return nil
}
