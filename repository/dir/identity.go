package dir

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"lockstep"
	"lockstep/repository"
)

// identityFile lies in the repository's own folder and tells it from every
// other one, and from the empty folder where it is not mounted.
const (
	identityFile    = "lockstep-repository.json"
	identityVersion = 1
)

type identity struct {
	Version int       `json:"lockstep_repository"`
	ID      string    `json:"id"`
	MadeAt  time.Time `json:"made_at"`
}

var identityPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// At is the repository in that folder, which need not be there: Identify makes
// it. Until then it is empty.
func At(path string) (*Repository, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open repository %q: %w", path, err)
	}
	return &Repository{path: abs, partials: map[string]bool{}, late: true}, nil
}

// Identity implements repository.Identified.
func (r *Repository) Identity(context.Context) (string, error) {
	if !r.late {
		return "", nil
	}
	id, err := r.identity()
	if err != nil {
		return "", &lockstep.Error{
			Op: "read the identity of repository " + r.path, Err: err,
			Hint: "look whether it is a folder that this user may read (repository.dir in the configuration)",
		}
	}
	return id, nil
}

func (r *Repository) identity() (string, error) {
	base, err := os.OpenRoot(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	f := &folder{root: base}
	defer f.Close()
	file, _, err := f.open(identityFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	var is identity
	b, err := io.ReadAll(io.LimitReader(file, 4<<10))
	if err == nil {
		err = json.Unmarshal(b, &is)
	}
	switch {
	case err != nil || !identityPattern.MatchString(is.ID) || is.Version < 1:
		return "", fmt.Errorf("%w: %s cannot be read", repository.ErrCorrupt, identityFile)
	case is.Version != identityVersion:
		return "", newer(identityFile, is.Version)
	}
	return is.ID, nil
}

// Identify implements repository.Identified. Where two processes make one at
// once, one's counts.
func (r *Repository) Identify(ctx context.Context) (string, error) {
	if err := os.MkdirAll(r.path, 0o700); err != nil {
		return "", &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: fmt.Sprintf("make repository %q", r.path), Err: err,
			Hint: "make the folder, or name another one as repository.dir in the configuration",
		}
	}
	if id, err := r.Identity(ctx); err != nil || id != "" {
		return id, err
	}
	if err := r.writeIdentity(); err != nil {
		return "", fmt.Errorf("make repository %s: %w", r.path, err)
	}
	return r.Identity(ctx)
}

func (r *Repository) writeIdentity() error {
	base, err := os.OpenRoot(r.path)
	if err != nil {
		return err
	}
	defer base.Close()
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	b, err := json.MarshalIndent(identity{identityVersion, hex.EncodeToString(random[:]), time.Now().UTC().Truncate(time.Second)}, "", "  ")
	if err != nil {
		return err
	}
	tmp := identityFile + "." + rand.Text() + ".tmp"
	defer base.Remove(tmp)
	if err := errors.Join(r.at("write identity"), writeFile(base, tmp, append(b, '\n')), r.at("identify")); err != nil {
		return err
	}
	if err := base.Link(tmp, identityFile); err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without hard links: the rename is as atomic, though two
		// at once could each think that theirs counts.
		if err := base.Rename(tmp, identityFile); err != nil {
			return err
		}
	}
	return syncDir(base)
}
