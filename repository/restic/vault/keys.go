package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// maxKeys is how many keys are tried with a password.
const maxKeys = 50

func (v *Vault) saveKey(ctx context.Context, password string, kdf format.KDF) (format.ID, error) {
	b, err := format.NewKeyFile(v.key, password, kdf)
	if err != nil {
		return format.ID{}, err
	}
	id := format.Sum(b)
	return id, saveKept(ctx, v.store, fileName(keysDir, id), b)
}

// unlock opens a repository with the key that a password opens. One that does not
// open the config is left over from a making that died, and is not counted.
func unlock(ctx context.Context, s store.Store, password string) (*Vault, error) {
	files, err := keyFiles(ctx, s)
	if err != nil {
		return nil, err
	}
	var broken error
	for i, f := range files {
		if i == maxKeys {
			break
		}
		key, err := f.open(password)
		if err == nil {
			config, configErr := loadConfig(ctx, s, key)
			if configErr == nil {
				return newVault(s, key, f.id, config), nil
			}
			if !errors.Is(configErr, repository.ErrCorrupt) {
				return nil, configErr
			}
			err = configErr
		}
		if !errors.Is(err, format.ErrWrongPassword) {
			broken = errors.Join(broken, fmt.Errorf("key %s: %w", f.id.Short(), err))
		}
	}
	switch {
	case len(files) == 0:
		return nil, fmt.Errorf("%w: it has no keys, so nothing can open it", repository.ErrCorrupt)
	case broken != nil:
		return nil, broken
	}
	return nil, format.ErrWrongPassword
}

type keyFile struct {
	id format.ID
	format.KeyFile
	err error
}

func (f keyFile) open(password string) (*format.Key, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Unlock(password)
}

// keyFiles are the key files of a store, sorted by ID.
func keyFiles(ctx context.Context, s store.Store) ([]keyFile, error) {
	v := &Vault{store: s}
	ids, err := v.list(ctx, keysDir)
	if err != nil {
		return nil, err
	}
	var files []keyFile
	for id := range ids {
		f := keyFile{id: id}
		b, err := s.Load(ctx, fileName(keysDir, id), 1<<20)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue // removed meanwhile
		case err != nil:
			return nil, err
		case format.Sum(b) != id:
			f.err = fmt.Errorf("%w: its file has other content", repository.ErrCorrupt)
		default:
			f.KeyFile, f.err = format.ParseKeyFile(b)
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b keyFile) int { return slices.Compare(a.id[:], b.id[:]) })
	return files, nil
}

// Keys lists the passwords that open the repository.
func (v *Vault) Keys(ctx context.Context) ([]lockstep.RepositoryKey, error) {
	files, err := keyFiles(ctx, v.store)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var keys []lockstep.RepositoryKey
	for _, f := range files {
		keys = append(keys, lockstep.RepositoryKey{ID: f.id.String(), Created: f.Created, Username: f.Username, Hostname: f.Hostname, Current: f.id == v.keyID})
	}
	return keys, nil
}

// AddKey makes another password open the repository too.
func (v *Vault) AddKey(ctx context.Context, password string, kdf format.KDF) (string, error) {
	if password == "" {
		return "", &lockstep.Error{Kind: lockstep.KindInvalid, Op: "add key", Err: errors.New("the new password is empty")}
	}
	id, err := v.saveKey(ctx, password, kdf)
	if err != nil {
		return "", fmt.Errorf("add key: %w", err)
	}
	return id.String(), nil
}

// RemoveKey makes a password, by the first digits of its key's ID, open the
// repository no more. The one that it was opened with cannot be removed, so one
// that is known always remains. Where the store keeps files the key is hidden: whoever
// may read what is hidden can use it until its date, which no backup moves on any more.
// Whoever had the password may have kept what it opens: the repository's own key stays
// as it is.
func (v *Vault) RemoveKey(ctx context.Context, prefix string) error {
	op := fmt.Sprintf("remove key %q", prefix)
	keys, err := v.Keys(ctx)
	if err != nil {
		return err
	}
	keys = slices.DeleteFunc(keys, func(k lockstep.RepositoryKey) bool {
		return prefix == "" || len(prefix) > len(k.ID) || k.ID[:len(prefix)] != prefix
	})
	switch {
	case len(keys) == 0:
		return &lockstep.Error{Kind: lockstep.KindNotFound, Op: op, Err: errors.New("there is no such key"), Hint: "`lockstep repository keys list` shows them"}
	case len(keys) > 1:
		return &lockstep.Error{Kind: lockstep.KindInvalid, Op: op, Err: fmt.Errorf("%d keys begin so", len(keys)), Hint: "give more digits"}
	case keys[0].Current:
		return &lockstep.Error{Kind: lockstep.KindRefused, Op: op, Err: errors.New("the repository was opened with it"), Hint: "put another key's password into the password file first"}
	}
	id, err := format.ParseID(keys[0].ID)
	if err != nil {
		return err
	}
	if err := v.hide(ctx, fileName(keysDir, id)); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}
