package sqlstore

import (
	"context"
	"fmt"
	"time"

	"lockstep/state"
)

// KeepRunKey implements state.RunKeys.
func (s *Store) KeepRunKey(ctx context.Context, key state.RunKey, at, olderThan time.Time) (state.RunKey, error) {
	kept := state.RunKey{Principal: key.Principal, Key: key.Key}
	err := s.change(ctx, func(tx *Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM state_run_keys WHERE kept < ?`, nanos(olderThan)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO state_run_keys (principal, key, digest, run, kept) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			key.Principal, key.Key, key.Digest, string(key.Run), nanos(at))
		if err != nil {
			return err
		}
		var intact bool
		err = tx.QueryRowContext(ctx, `SELECT digest, run, sum IS NOT DISTINCT FROM row_sum(principal, key, digest, run, kept) FROM state_run_keys WHERE principal = ? AND key = ?`,
			key.Principal, key.Key).Scan(&kept.Digest, &kept.Run, &intact)
		return damaged("idempotency key "+key.Key, intact, err)
	})
	if err != nil {
		return state.RunKey{}, fmt.Errorf("keep an idempotency key of %q: %w", key.Principal, err)
	}
	return kept, nil
}
