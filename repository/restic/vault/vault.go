// Package vault is an opened restic repository: blobs, snapshots, notes and
// locks over a store, all sealed with the repository's key. What an artifact or
// a backup is, it does not know.
//
// What keeps a repository whole, whoever dies when:
//
//   - a file is saved only after all that it names is durable: packs, then the
//     index of them, then the snapshot;
//   - a blob is in a pack only after it was opened again and had its ID;
//   - who writes, or reads for long, holds a shared lock; who removes packs, an
//     exclusive one. Stock restic has the same locks;
//   - what an index said before the lock was taken is asked for again after it.
package vault

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// Folders of a repository. The last is ours; stock restic leaves it alone.
const (
	configFile   = "config"
	keysDir      = "keys"
	dataDir      = "data"
	indexDir     = "index"
	snapshotsDir = "snapshots"
	locksDir     = "locks"
	notesDir     = "lockstep"
)

// maxFile is longer than any file that is read whole, packs left out.
const maxFile = 1 << 30

// Vault is an opened repository. All methods may be called concurrently.
type Vault struct {
	store  store.Store
	key    *format.Key
	keyID  format.ID // the key file that opened it
	config format.Config

	locks keeper

	mu    sync.Mutex
	index *index
	// packing is where a blob is that is in no stored pack yet.
	packing map[format.Handle]*packing
	open    [2]*packing // by kind; nil if none was begun
	fresh   []format.PackBlobs

	indexing  sync.Mutex    // held while an index file is saved
	refreshes sync.Mutex    // held while indexes are loaded
	uploads   chan struct{} // one for each pack that is being saved
	sealing   chan struct{} // one for each blob that is being sealed

	snapshotsMu sync.Mutex
	snapshots   map[format.ID]format.Snapshot
}

// uploadsAtOnce bounds the memory of packs that are being saved.
const uploadsAtOnce = 3

func newVault(s store.Store, key *format.Key, keyID format.ID, config format.Config) *Vault {
	v := &Vault{
		store: s, key: key, keyID: keyID, config: config, index: newIndex(),
		packing: map[format.Handle]*packing{}, uploads: make(chan struct{}, uploadsAtOnce), sealing: make(chan struct{}, workers()), snapshots: map[format.ID]format.Snapshot{},
	}
	v.locks = newKeeper(v)
	return v
}

// exists reports whether there is a repository in a store.
func exists(ctx context.Context, s store.Store) (bool, error) {
	_, err := s.Load(ctx, configFile, maxFile)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// ErrNone: there is no repository in the store.
var ErrNone = errors.New("there is no repository")

// Open opens the repository in a store. Without one the error wraps ErrNone.
func Open(ctx context.Context, s store.Store, password string) (*Vault, error) {
	there, err := exists(ctx, s)
	if err == nil && !there {
		err = ErrNone
	}
	if err != nil {
		return nil, opening(s, err)
	}
	v, err := unlock(ctx, s, password)
	if err != nil {
		return nil, opening(s, err)
	}
	return v, nil
}

func opening(s store.Store, err error) error {
	op := "open repository " + s.Location()
	if errors.Is(err, format.ErrWrongPassword) {
		return &lockstep.Error{Kind: lockstep.KindRefused, Op: op, Err: err, Hint: "look at the password file of the configuration; `lockstep repository keys` adds a password while another one is known"}
	}
	if repository.Damage(err) {
		return &lockstep.Error{Op: op, Err: err, Hint: "without its file config and its folder keys nobody can read it: bring them back from a copy of the repository"}
	}
	return fmt.Errorf("%s: %w", op, err)
}

func loadConfig(ctx context.Context, s store.Store, key *format.Key) (format.Config, error) {
	sealed, err := s.Load(ctx, configFile, 1<<20)
	if err != nil {
		return format.Config{}, err
	}
	b, err := key.Open(nil, sealed)
	if err != nil {
		return format.Config{}, fmt.Errorf("config: %w", err)
	}
	return format.ParseConfig(b)
}

// Init makes a repository in a store that has none, and opens it. The config is
// its last file: that it is there makes the repository exist. Of several at
// once, one's counts; the others' error wraps store.ErrExists.
func Init(ctx context.Context, s store.Store, password string, kdf format.KDF) (*Vault, error) {
	if password == "" {
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: "make repository " + s.Location(), Err: errors.New("its password is empty"), Hint: "put one into the password file, for example: openssl rand -base64 24"}
	}
	config, err := format.NewConfig()
	if err != nil {
		return nil, err
	}
	key := format.NewKey()
	v := newVault(s, key, format.ID{}, config)
	if v.keyID, err = v.saveKey(ctx, password, kdf); err != nil {
		return nil, making(s, err)
	}
	b, err := jsonOf(config)
	if err == nil {
		err = createKept(ctx, s, configFile, key.Seal(nil, b))
	}
	if err == nil {
		return v, nil
	}
	// The answer may have been lost, and what is there be our own.
	if ours, isErr := v.Is(ctx); isErr == nil && ours {
		return v, nil
	} else if isErr == nil {
		_ = v.hide(ctx, fileName(keysDir, v.keyID)) // it opens nothing
	}
	return nil, making(s, err)
}

func making(s store.Store, err error) error {
	return fmt.Errorf("make repository %s: %w", s.Location(), err)
}

// Identity is the same for the repository's whole life, 64 hex digits.
func (v *Vault) Identity() string { return v.config.ID.String() }

// ChunkKey is a secret of the repository for where files are cut, so that the
// sizes of pieces tell nothing of what is in them.
func (v *Vault) ChunkKey() []byte { return v.key.Derive("chunks") }

// Is reports whether the store still holds this repository.
func (v *Vault) Is(ctx context.Context) (bool, error) {
	there, err := exists(ctx, v.store)
	if err != nil || !there {
		return false, err
	}
	config, err := loadConfig(ctx, v.store, v.key)
	if errors.Is(err, repository.ErrCorrupt) {
		return false, nil // another key's
	}
	return err == nil && config.ID == v.config.ID, err
}

// damaged says which file of the repository is wrong, and how.
func damaged(what string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %s is missing", repository.ErrCorrupt, what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// workers is how many blobs, or files, are handled at once.
func workers() int { return max(2, runtime.GOMAXPROCS(0)) }

// saveTimeout bounds the saving of a pack that several wait for.
const saveTimeout = 15 * time.Minute
