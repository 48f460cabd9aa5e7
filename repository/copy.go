package repository

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"lockstep"
)

// StagedReading is implemented by repositories whose Put does not read again what
// they had already: a copy reads what it staged there before it commits.
type StagedReading interface {
	// OpenStaged is Open of an artifact that is staged.
	OpenStaged(ctx context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error)
	// FindStagedDamage is Sharing.FindDamage of an artifact that is staged: the next
	// Put stores again what of it cannot be read.
	FindStagedDamage(ctx context.Context, id lockstep.BackupID, name string) error
}

// Copying is one copy of a backup into another repository.
type Copying struct {
	// Manifest is the backup, as it was committed.
	Manifest lockstep.Backup
	// Open streams an artifact of the original; Verified is the one that names what
	// is wrong.
	Open func(ctx context.Context, a lockstep.Artifact) (io.ReadCloser, error)
	To   Repository
	// Begins, if not nil, is told of each artifact before it is read; it must
	// return at once.
	Begins func(a lockstep.Artifact)
	// Read, if not nil, counts the bytes of the original that were read.
	Read *atomic.Int64
	// By is written down as who has read the copy.
	By string
}

// discardTimeout bounds the tidying of a copy that failed.
const discardTimeout = time.Minute

// ErrStaged: something of that id is staged at the destination.
var ErrStaged = errors.New("another copy of it, or a backup of that id, is being written there, or died there")

// There reports whether the copy is at the destination already. Another backup of
// that id, or one that is damaged, is an error of KindConflict.
func (c Copying) There(ctx context.Context) (bool, error) {
	there, err := c.To.Get(ctx, c.Manifest.ID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	same, err := sameManifest(there, c.Manifest)
	switch {
	case err != nil:
		return false, err
	case same && there.Recorded == "":
		return true, nil
	case there.Recorded != "":
		err = fmt.Errorf("it is there, and is %s: %s", there.Data, there.WhyNot())
	default:
		err = errors.New("another backup of that id is there: its manifest is not the same")
	}
	return false, &lockstep.Error{
		Kind: lockstep.KindConflict, Op: c.op(), Err: err,
		Hint: "look at both; if the one there may go, `lockstep backups forget` deletes it there, then copy again",
	}
}

// sameManifest compares what is committed, and leaves out what became known since.
func sameManifest(a, b lockstep.Backup) (bool, error) {
	x, err1 := json.Marshal(committedManifest(a))
	y, err2 := json.Marshal(committedManifest(b))
	return bytes.Equal(x, y), errors.Join(err1, err2)
}

// committedManifest is b as it was committed: what Backup.Stand and its like said is
// taken back. Their reasons cannot be told from those of the manifest and are left out.
func committedManifest(b lockstep.Backup) lockstep.Backup {
	b = b.Manifest()
	if b.Recorded != "" {
		b.Data, b.Recorded = b.Recorded, ""
	}
	b.Reasons = nil
	return b
}

// Do copies the backup. It exists at the destination only after every byte of it was
// read and each artifact, as the destination gives it back, has the digest and the
// length of the manifest; until then nobody sees anything of it, and after an error
// nothing of it stays. Where it is there already, there is nothing to do: There.
func (c Copying) Do(ctx context.Context) (err error) {
	m := c.Manifest
	if err := c.copyable(); err != nil {
		return err
	}
	id, err := c.To.Begin(ctx, m.ID)
	if err != nil {
		return fmt.Errorf("%s: %w", c.op(), err)
	}
	defer func() {
		if err == nil {
			return
		}
		err = fmt.Errorf("%s: %w", c.op(), err)
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
		defer stop()
		if id != "" {
			err = errors.Join(err, c.To.Discard(ctx, id))
		}
	}()
	if id != m.ID {
		return fmt.Errorf("%w", ErrStaged)
	}
	for _, a := range m.Artifacts {
		if err := c.artifact(ctx, a); err != nil {
			return err
		}
	}
	if err := c.To.Commit(ctx, m); err != nil {
		if there, asked := c.There(context.WithoutCancel(ctx)); asked != nil || there {
			id = "" // it may exist: it is not discarded
		}
		return err
	}
	id = "" // it exists
	return c.To.RecordVerify(ctx, m.ID, lockstep.Verification{
		At: time.Now().UTC(), OK: true, Bytes: m.Bytes(), Artifacts: len(m.Artifacts), By: c.By,
	})
}

func (c Copying) op() string {
	return fmt.Sprintf("copy backup %q to %s", c.Manifest.ID, c.To.Location())
}

// copyable refuses what a copy could not be proven of.
func (c Copying) copyable() error {
	for _, a := range c.Manifest.Artifacts {
		if a.Digest == "" {
			return &lockstep.Error{
				Kind: lockstep.KindRefused, Op: c.op(), Err: fmt.Errorf("another program made it: no digest is recorded of artifact %q, so no copy of it could be proven", a.Name),
				Hint: "copy its folder with the means of the system, and verify it there",
			}
		}
	}
	return nil
}

func (c Copying) artifact(ctx context.Context, a lockstep.Artifact) error {
	if c.Begins != nil {
		c.Begins(a)
	}
	if err := c.put(ctx, a); err != nil {
		return err
	}
	s, ok := c.To.(StagedReading)
	if !ok {
		return nil
	}
	err := c.reread(ctx, s, a)
	if err == nil || ctx.Err() != nil || !Damage(err) {
		return err
	}
	// What the destination had already is damaged: it is stored again, once.
	if found := s.FindStagedDamage(ctx, c.Manifest.ID, a.Name); found != nil {
		return errors.Join(err, found)
	}
	if err := c.put(ctx, a); err != nil {
		return err
	}
	return c.reread(ctx, s, a)
}

// put stages an artifact and compares what the destination says of it.
func (c Copying) put(ctx context.Context, a lockstep.Artifact) error {
	in, err := c.Open(ctx, a)
	if err != nil {
		return err
	}
	read := c.Read
	if read == nil {
		read = new(atomic.Int64)
	}
	content, err := c.To.Put(ctx, c.Manifest.ID, a.Name, &countingReader{ctx: ctx, r: in, n: read})
	if err = errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("artifact %q: %w", a.Name, err)
	}
	return c.proven(a, content, "the original")
}

// reread reads what is staged, and compares.
func (c Copying) reread(ctx context.Context, s StagedReading, a lockstep.Artifact) error {
	stream, err := s.OpenStaged(ctx, c.Manifest.ID, a.Name)
	if err != nil {
		return fmt.Errorf("read artifact %q back: %w", a.Name, err)
	}
	defer stream.Close()
	entries, n, err := ReadTar(ctx, &countingReader{ctx: ctx, r: stream, n: new(atomic.Int64)})
	if err != nil {
		return fmt.Errorf("read artifact %q back: %w", a.Name, unreadable(ctx, err))
	}
	defer entries.Close()
	return c.proven(a, ContentOf(n, entries), "the copy")
}

func (c Copying) proven(a lockstep.Artifact, is Content, what string) error {
	if is.Digest == a.Digest && is.Bytes == a.Bytes && is.Entries == a.Entries {
		return nil
	}
	return fmt.Errorf("artifact %q of %s is not what the manifest says: %w", a.Name, what, ErrCorrupt)
}
