package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/state"
)

// What a delivery is, and whether neither its row nor its notice's was changed.
const (
	deliveryColumns = `d.n, d.receiver, d.state, m.body, d.tries, d.next_try, d.ended, d.error, ` + deliveryIntact + ` AND ` + noticeIntact
	deliveryIntact  = `d.sum IS NOT DISTINCT FROM row_sum(d.n, d.notice, d.receiver, d.alarm, d.state, d.tries, d.next_try, d.ended, d.error)`
	noticeIntact    = `m.sum IS NOT DISTINCT FROM row_sum(m.n, m.dedup, m.made, m.body)`
)

// AddNotice implements state.Outbox.
func (s *Store) AddNotice(ctx context.Context, key string, n lockstep.Notice, receivers []string, limit int) (added bool, err error) {
	body, err := json.Marshal(n)
	if err != nil {
		return false, err
	}
	err = s.change(ctx, func(tx *Tx) error {
		added = false // in an earlier attempt it may have been
		var notice int64
		err := tx.QueryRowContext(ctx, `INSERT INTO state_notices (dedup, made, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING n`,
			key, nanos(n.Time), body).Scan(&notice)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		added = true
		for _, receiver := range receivers {
			if err := addDelivery(ctx, tx, notice, n, receiver, limit); err != nil {
				return err
			}
		}
		return nil
	})
	return added, about("keep notice", key, err)
}

func addDelivery(ctx context.Context, tx *Tx, notice int64, n lockstep.Notice, receiver string, limit int) error {
	var pending int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM state_deliveries WHERE receiver = ? AND state = 'pending'`, receiver).Scan(&pending)
	if err != nil {
		return err
	}
	to, next, ended := lockstep.DeliveryPending, n.Time, time.Time{}
	if pending >= limit {
		displaced := false
		if n.Kind.Alarm() {
			if displaced, err = displace(ctx, tx, receiver, n.Time); err != nil {
				return err
			}
		}
		if !displaced {
			to, next, ended = lockstep.DeliveryDropped, time.Time{}, n.Time
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO state_deliveries (notice, receiver, alarm, state, tries, next_try, ended, error) VALUES (?, ?, ?, ?, 0, ?, ?, '')`,
		notice, receiver, n.Kind.Alarm(), string(to), nanos(next), nanos(ended))
	return err
}

// displace drops the newest pending delivery that is not an alarm, if there is one.
func displace(ctx context.Context, tx *Tx, receiver string, at time.Time) (bool, error) {
	err := found(tx.ExecContext(ctx, `UPDATE state_deliveries SET state = 'dropped', next_try = 0, ended = ? WHERE n =
		(SELECT max(n) FROM state_deliveries WHERE receiver = ? AND state = 'pending' AND NOT alarm)`, nanos(at), receiver))
	if errors.Is(err, state.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// HasNotice implements state.Outbox.
func (s *Store) HasNotice(ctx context.Context, key string) (bool, error) {
	if err := s.live(); err != nil {
		return false, err
	}
	var n int
	err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM state_notices WHERE dedup = ?`, key).Scan(&n)
	return n > 0, about("look for notice", key, err)
}

// DueDeliveries implements state.Outbox.
func (s *Store) DueDeliveries(ctx context.Context, receiver string, now time.Time, limit int) ([]lockstep.Delivery, error) {
	list, err := many(ctx, s, scanDelivery, `SELECT `+deliveryColumns+` FROM state_deliveries d JOIN state_notices m ON m.n = d.notice
		WHERE d.receiver = ? AND d.state = 'pending' AND (d.next_try <= ? OR d.next_try > ?) ORDER BY d.alarm DESC, d.n LIMIT ?`,
		receiver, nanos(now), nanos(now.Add(state.FarAhead)), limit)
	return list, about("list deliveries to", receiver, err)
}

// NextDelivery implements state.Outbox.
func (s *Store) NextDelivery(ctx context.Context, receiver string) (time.Time, error) {
	if err := s.live(); err != nil {
		return time.Time{}, err
	}
	var next int64
	err := s.read.QueryRowContext(ctx, `SELECT coalesce(min(next_try), 0) FROM state_deliveries WHERE receiver = ? AND state = 'pending'`, receiver).Scan(&next)
	return timeOf(next), about("look for the next delivery to", receiver, err)
}

// SettleDelivery implements state.Outbox.
func (s *Store) SettleDelivery(ctx context.Context, d lockstep.Delivery) error {
	err := s.change(ctx, func(tx *Tx) error {
		return found(tx.ExecContext(ctx, `UPDATE state_deliveries SET state = ?, tries = ?, next_try = ?, ended = ?, error = ? WHERE n = ?`,
			string(d.State), d.Tries, nanos(d.NextTry), nanos(d.EndedAt), d.Error, d.N))
	})
	return about("settle a delivery to", d.Receiver, err)
}

// Deliveries implements state.Outbox.
func (s *Store) Deliveries(ctx context.Context, f lockstep.DeliveryFilter) ([]lockstep.Delivery, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	list, err := many(ctx, s, scanDelivery, `SELECT `+deliveryColumns+` FROM state_deliveries d JOIN state_notices m ON m.n = d.notice
		WHERE (?1 = '' OR d.receiver = ?1) AND (?2 = '' OR d.state = ?2) AND (CAST(?3 AS BIGINT) = 0 OR d.n < ?3) ORDER BY d.n DESC LIMIT ?4`,
		f.Receiver, string(f.State), f.Before, f.Limit)
	return list, about("list deliveries", "", err)
}

// CountDeliveries implements state.Outbox.
func (s *Store) CountDeliveries(ctx context.Context) ([]state.DeliveryCount, error) {
	list, err := many(ctx, s, scanCount, `SELECT d.receiver, d.state, count(*), min(m.made) FROM state_deliveries d JOIN state_notices m ON m.n = d.notice
		GROUP BY d.receiver, d.state ORDER BY d.receiver, d.state`)
	return list, about("count deliveries", "", err)
}

// PruneNotices implements state.Outbox.
func (s *Store) PruneNotices(ctx context.Context, before time.Time) error {
	err := s.change(ctx, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM state_notices WHERE made < ? AND NOT EXISTS
			(SELECT 1 FROM state_deliveries d WHERE d.notice = state_notices.n AND d.state = 'pending')`, nanos(before))
		return err
	})
	return about("prune notices", "", err)
}

// A delivery whose notice's number was changed leaves that notice without it.
const (
	damagedNotices = `SELECT m.n FROM state_notices m WHERE NOT (` + noticeIntact + `)
		UNION SELECT d.notice FROM state_deliveries d WHERE NOT (` + deliveryIntact + `)`
	damagedDeliveries = `SELECT d.n FROM state_deliveries d WHERE NOT (` + deliveryIntact + `)
		OR NOT EXISTS (SELECT 1 FROM state_notices m WHERE m.n = d.notice)`
	damagedSlots = `SELECT n FROM state_slots WHERE NOT (` + slotIntact + `)`
)

// Damaged implements state.Outbox.
func (s *Store) Damaged(ctx context.Context) (n int, err error) {
	if err := s.live(); err != nil {
		return 0, err
	}
	err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 'n' AS kind, n FROM (`+damagedNotices+`) AS a
		UNION SELECT 's' AS kind, n FROM (`+damagedSlots+`) AS b) AS c`).Scan(&n)
	return n, about("look for damaged notices", "", err)
}

// DropDamaged implements state.Outbox.
func (s *Store) DropDamaged(ctx context.Context) error {
	err := s.change(ctx, func(tx *Tx) error {
		for _, drop := range []string{
			`DELETE FROM state_notices WHERE n IN (` + damagedNotices + `)`,
			`DELETE FROM state_deliveries WHERE n IN (` + damagedDeliveries + `)`,
			`DELETE FROM state_slots WHERE n IN (` + damagedSlots + `)`,
		} {
			if _, err := tx.ExecContext(ctx, drop); err != nil {
				return err
			}
		}
		return nil
	})
	return about("drop damaged notices", "", err)
}

func scanDelivery(row scanner) (d lockstep.Delivery, err error) {
	var body []byte
	var next, ended int64
	var intact bool
	err = row.Scan(&d.N, &d.Receiver, &d.State, &body, &d.Tries, &next, &ended, &d.Error, &intact)
	if err := damaged(fmt.Sprintf("delivery %d", d.N), intact, err); err != nil {
		return d, err
	}
	d.NextTry, d.EndedAt = timeOf(next), timeOf(ended)
	return d, json.Unmarshal(body, &d.Notice)
}

func scanCount(row scanner) (c state.DeliveryCount, err error) {
	var oldest int64
	err = row.Scan(&c.Receiver, &c.State, &c.Count, &oldest)
	c.Oldest = timeOf(oldest)
	return c, err
}
