package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"lockstep/state"
)

const tokenColumns = `id, name, hash, grants, created_by, created, expires, revoked, used`

// AddToken implements state.Tokens.
func (s *Store) AddToken(ctx context.Context, t state.Token) error {
	err := s.insert(ctx, `INSERT INTO state_tokens (`+tokenColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		t.ID, t.Name, t.Hash, t.Grants, t.CreatedBy, nanos(t.CreatedAt), nanos(t.ExpiresAt), nanos(t.RevokedAt), nanos(t.UsedAt))
	return about("keep token", t.ID, err)
}

// Token implements state.Tokens.
func (s *Store) Token(ctx context.Context, id string) (state.Token, error) {
	if err := s.live(); err != nil {
		return state.Token{}, err
	}
	t, err := scanToken(s.read.QueryRowContext(ctx, `SELECT `+withSum(tokenColumns)+` FROM state_tokens WHERE id = ?`, id))
	return t, about("read token", id, err)
}

// Tokens implements state.Tokens.
func (s *Store) Tokens(ctx context.Context) ([]state.Token, error) {
	list, err := many(ctx, s, scanToken, `SELECT `+withSum(tokenColumns)+` FROM state_tokens ORDER BY created DESC, id`)
	return list, about("list tokens", "", err)
}

// RevokeToken implements state.Tokens.
func (s *Store) RevokeToken(ctx context.Context, id string, at time.Time) error {
	err := s.change(ctx, func(tx *Tx) error {
		return found(tx.ExecContext(ctx, `UPDATE state_tokens SET revoked = CASE WHEN revoked = 0 THEN ? ELSE revoked END WHERE id = ?`, nanos(at), id))
	})
	return about("revoke token", id, err)
}

// TouchToken implements state.Tokens.
func (s *Store) TouchToken(ctx context.Context, id string, at time.Time) error {
	err := s.change(ctx, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE state_tokens SET used = ?1 WHERE id = ?2 AND used < ?1`, nanos(at), id)
		return err
	})
	return about("note use of token", id, err)
}

// scanner is a row.
type scanner interface{ Scan(...any) error }

func scanToken(row scanner) (state.Token, error) {
	var t state.Token
	var created, expires, revoked, used int64
	var intact bool
	err := row.Scan(&t.ID, &t.Name, &t.Hash, &t.Grants, &t.CreatedBy, &created, &expires, &revoked, &used, &intact)
	t.CreatedAt, t.ExpiresAt, t.RevokedAt, t.UsedAt = timeOf(created), timeOf(expires), timeOf(revoked), timeOf(used)
	return t, damaged("token "+t.ID, intact, err)
}

// insert adds one row, or fails with ErrExists where ON CONFLICT DO
// NOTHING did nothing.
func (s *Store) insert(ctx context.Context, query string, values ...any) error {
	return s.change(ctx, func(tx *Tx) error {
		err := found(tx.ExecContext(ctx, query, values...))
		if errors.Is(err, state.ErrNotFound) {
			return state.ErrExists
		}
		return err
	})
}

// found is ErrNotFound for a change of nothing.
func found(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = state.ErrNotFound
	}
	return err
}

// many are all rows of a query.
func many[T any](ctx context.Context, s *Store, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	if err := s.live(); err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.dialect.explain(err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, s.dialect.explain(rows.Err())
}

// about says what an error is of.
func about(what, id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		err = state.ErrNotFound
	}
	if id == "" {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s %q: %w", what, id, err)
}
