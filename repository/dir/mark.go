package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"lockstep"
	"lockstep/repository"
)

// verifyFile says how a backup was read again last. It is not part of what was
// committed, and a backup without it, or with one that cannot be read, has
// not been verified since.
const (
	verifyFile    = "lockstep-verify.json"
	verifyVersion = 1
	maxVerify     = 4 << 20
)

// verified is the file's content.
type verified struct {
	Version int                   `json:"lockstep_verify"`
	Backup  lockstep.BackupID     `json:"backup"`
	Last    lockstep.Verification `json:"last"`
	// Sum is over all of this; "" in files of older programs.
	Sum string `json:"sum,omitempty"`
}

// sum is the SHA-256 of the other fields as JSON. It finds what a disk does, not
// what somebody does.
func (v verified) sum() (string, error) {
	v.Sum = ""
	b, err := json.Marshal(v)
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:]), err
}

// RecordVerify implements repository.Repository: the file is synced under a
// name of its own and renamed into place.
func (r *Repository) RecordVerify(_ context.Context, id lockstep.BackupID, v lockstep.Verification) error {
	dir, err := r.folder(id)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := dir.is(stateCommitted, stateForeign); err != nil {
		return err
	}
	b, err := verifyText(verified{Version: verifyVersion, Backup: id, Last: v})
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		err = r.writeVerify(dir, b)
	}
	if err != nil {
		return r.trouble("keep the result of verifying backup", id, err)
	}
	return nil
}

func verifyText(v verified) (b []byte, err error) {
	if v.Sum, err = v.sum(); err == nil {
		b, err = json.MarshalIndent(v, "", "  ")
	}
	return append(b, '\n'), err
}

func (r *Repository) writeVerify(dir *folder, b []byte) error {
	tmp := fmt.Sprintf("%s.%d.tmp", verifyFile, os.Getpid())
	if err := dir.root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(r.at("write "+verifyFile), writeFile(dir.root, tmp, b)); err != nil {
		return err
	}
	return errors.Join(r.at("record verify"), dir.root.Rename(tmp, verifyFile), syncDir(dir.root))
}

// lastVerify is what RecordVerify kept, or nil. A result that cannot be read
// is told of: it might have been that of a damaged backup.
func (f *folder) lastVerify() (*lockstep.Verification, error) {
	file, size, err := f.open(verifyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var v verified
	b, err := io.ReadAll(io.LimitReader(file, maxVerify))
	if err == nil && size <= maxVerify {
		err = json.Unmarshal(b, &v)
	}
	is, bad := v.sum()
	switch {
	case err != nil || bad != nil || size > maxVerify || v.Sum != "" && v.Sum != is:
		return nil, fmt.Errorf("%w: %s cannot be read", repository.ErrCorrupt, verifyFile)
	case v.Version != verifyVersion:
		return nil, newer(verifyFile, v.Version)
	case v.Backup != f.id && !f.renamed:
		return nil, nil // of the backup that this one is a copy of
	}
	return &v.Last, nil
}

// stand completes a manifest with what became known since. A result that
// cannot be read says nothing good.
func (f *folder) stand(b *lockstep.Backup) {
	last, err := f.lastVerify()
	if err != nil {
		b.Reasons = append(b.Reasons, "the result of its last verify cannot be read: "+err.Error()+"; verify it again")
		if b.Data == lockstep.DataVerified {
			b.Become(lockstep.DataUnproven)
		}
		return
	}
	b.Verified = last
	b.Stand()
}
