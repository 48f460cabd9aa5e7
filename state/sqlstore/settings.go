package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const selectSetting = `SELECT value, sum IS NOT DISTINCT FROM row_sum(name, value, changed) FROM state_settings WHERE name = ?`

// Setting implements state.Settings.
func (s *Store) Setting(ctx context.Context, name string) ([]byte, error) {
	if err := s.live(); err != nil {
		return nil, err
	}
	var value []byte
	var intact bool
	err := s.read.QueryRowContext(ctx, selectSetting, name).Scan(&value, &intact)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err := damaged("it", intact, err); err != nil {
		return nil, fmt.Errorf("read setting %q: %w", name, err)
	}
	return value, nil
}

// SetSetting implements state.Settings.
func (s *Store) SetSetting(ctx context.Context, name string, value []byte, at time.Time) error {
	err := s.change(ctx, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO state_settings (name, value, changed) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed = excluded.changed`, name, value, nanos(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep setting %q: %w", name, err)
	}
	return nil
}

// KeepSetting implements state.Settings.
func (s *Store) KeepSetting(ctx context.Context, name string, value []byte, at time.Time) (kept []byte, err error) {
	err = s.change(ctx, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO state_settings (name, value, changed) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, name, value, nanos(at))
		if err != nil {
			return err
		}
		var intact bool
		err = tx.QueryRowContext(ctx, selectSetting, name).Scan(&kept, &intact)
		return damaged("it", intact, err)
	})
	if err != nil {
		return nil, fmt.Errorf("keep setting %q: %w", name, err)
	}
	return kept, nil
}
