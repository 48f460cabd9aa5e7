package access

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lockstep/state"
)

// The files in the state folder.
const (
	AdminTokenFile = "admin.token"
	PepperFile     = "pepper"
	AuditFolder    = "audit"
)

// renewBefore is how long before its end the admin token is made anew.
const renewBefore = 30 * 24 * time.Hour

// Local is a process of this host that reads the state folder itself. It has
// all there is anyway.
func Local(user string) Principal {
	return Principal{Name: user, Kind: KindLocal, Grants: []Grant{{RoleAdmin, "*"}}}
}

// KeepAdminToken sees to it that the file admin.token in the folder holds a
// good token of an admin, so that the command line on the same host can reach
// the server with nothing set up. Whoever can read the folder has everything
// that the token opens. It is called at each start and once a day.
func (t *Tokens) KeepAdminToken(ctx context.Context, dir string) error {
	path := filepath.Join(dir, AdminTokenFile)
	ctx = WithPrincipal(ctx, Local("lockstep"))
	old, good, err := t.adminToken(ctx, path)
	if err != nil || good {
		return err
	}
	_, secret, err := t.Create(ctx, TokenRequest{Name: "admin", Grants: []Grant{{RoleAdmin, "*"}}})
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := replace(path, secret); err != nil {
		return err
	}
	if old == "" {
		return nil
	}
	return t.Revoke(ctx, old)
}

// adminToken looks at the token in the file: the id of one that is known, and
// whether it is good for long.
func (t *Tokens) adminToken(ctx context.Context, path string) (id string, good bool, _ error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read admin token: %w", err)
	}
	text, ok := parseToken(strings.TrimSpace(string(b)))
	if !ok {
		return "", false, nil
	}
	kept, err := t.cfg.Store.Token(ctx, text.id)
	if errors.Is(err, state.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	token, err := tokenOf(kept)
	if err != nil {
		return "", false, err
	}
	_, err = t.Check(ctx, NewSecret(text.String()), "")
	return token.ID, err == nil && token.Live(t.cfg.Now().Add(renewBefore)), nil
}

// replace puts a new token into the file, whole or not at all.
func replace(path string, secret Secret) error {
	tmp := path + ".next"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeNew(tmp, []byte(secret.Reveal()+"\n")); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// ReadAdminToken reads the admin token of a state folder, if this user may. An
// error is fs.ErrNotExist or fs.ErrPermission where there is none for them.
func ReadAdminToken(dir string) (Secret, error) {
	b, err := os.ReadFile(filepath.Join(dir, AdminTokenFile))
	if err != nil {
		return Secret{}, err
	}
	return NewSecret(strings.TrimSpace(string(b))), nil
}
