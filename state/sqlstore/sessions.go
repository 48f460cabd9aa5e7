package sqlstore

import (
	"context"
	"time"

	"lockstep/state"
)

const sessionColumns = `hash, principal, token, begun, seen, expires`

// AddSession implements state.Sessions.
func (s *Store) AddSession(ctx context.Context, x state.Session) error {
	err := s.insert(ctx, `INSERT INTO state_sessions (`+sessionColumns+`) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		x.Hash, x.Principal, x.Token, nanos(x.BegunAt), nanos(x.SeenAt), nanos(x.ExpiresAt))
	return about("keep session", "", err)
}

// Session implements state.Sessions.
func (s *Store) Session(ctx context.Context, hash []byte) (state.Session, error) {
	if err := s.live(); err != nil {
		return state.Session{}, err
	}
	var x state.Session
	var begun, seen, expires int64
	var intact bool
	err := s.read.QueryRowContext(ctx, `SELECT `+withSum(sessionColumns)+` FROM state_sessions WHERE hash = ?`, hash).
		Scan(&x.Hash, &x.Principal, &x.Token, &begun, &seen, &expires, &intact)
	x.BegunAt, x.SeenAt, x.ExpiresAt = timeOf(begun), timeOf(seen), timeOf(expires)
	return x, about("read session", "", damaged("it", intact, err))
}

// TouchSession implements state.Sessions.
func (s *Store) TouchSession(ctx context.Context, hash []byte, at time.Time) error {
	return s.sessions(ctx, "note use of session", `UPDATE state_sessions SET seen = ?1 WHERE hash = ?2 AND seen < ?1`, nanos(at), hash)
}

// EndSession implements state.Sessions.
func (s *Store) EndSession(ctx context.Context, hash []byte) error {
	return s.sessions(ctx, "end session", `DELETE FROM state_sessions WHERE hash = ?`, hash)
}

// SweepSessions implements state.Sessions.
func (s *Store) SweepSessions(ctx context.Context, seenBefore, now time.Time) error {
	return s.sessions(ctx, "remove old sessions", `DELETE FROM state_sessions WHERE seen < ? OR expires <= ?`, nanos(seenBefore), nanos(now))
}

func (s *Store) sessions(ctx context.Context, what, query string, args ...any) error {
	return about(what, "", s.change(ctx, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}))
}
