package sqlstore

import (
	"context"
	"encoding/json"

	"lockstep"
	"lockstep/state"
)

const (
	scheduleColumns = `version, definition, decided, waiting, paused, paused_by, paused_at`
	slotColumns     = `n, schedule, deployment, operation, slot, last, count, state, run, reason, manual, asked_by, decided`
	// A slot that a disk changed is not listed, so that it stands in the way of no
	// other; DropDamaged tells of it.
	slotIntact = `sum IS NOT DISTINCT FROM row_sum(n, change, schedule, deployment, operation, slot, last, count, state, run, reason, manual, asked_by, decided)`
)

// PutSchedule implements state.Schedules.
func (s *Store) PutSchedule(ctx context.Context, sch state.Schedule, records ...lockstep.SlotRecord) ([]lockstep.SlotRecord, error) {
	definition, err := json.Marshal(sch.Definition)
	if err != nil {
		return nil, err
	}
	kept := make([]lockstep.SlotRecord, len(records))
	err = s.change(ctx, func(tx *Tx) error {
		if err := unchanged(ctx, tx, sch); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO state_schedules (name, `+scheduleColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET version = excluded.version, definition = excluded.definition, decided = excluded.decided,
			waiting = excluded.waiting, paused = excluded.paused, paused_by = excluded.paused_by, paused_at = excluded.paused_at`,
			sch.Definition.Name, sch.Version+1, definition, nanos(sch.Decided), nanos(sch.Waiting), sch.Paused, sch.PausedBy, nanos(sch.PausedAt))
		if err != nil {
			return err
		}
		for i, r := range records {
			if r.N, err = addSlot(ctx, tx, r); err != nil {
				return err
			}
			kept[i] = r
		}
		return nil
	})
	return kept, about("keep schedule", sch.Definition.Name, err)
}

// unchanged reports whether the schedule is kept as it was read.
func unchanged(ctx context.Context, tx *Tx, sch state.Schedule) error {
	var version int64
	err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM state_schedules WHERE name = ?`, sch.Definition.Name).Scan(&version)
	if err == nil && version != sch.Version {
		return state.ErrChanged
	}
	return err
}

func addSlot(ctx context.Context, tx *Tx, r lockstep.SlotRecord) (int64, error) {
	if r.State != lockstep.SlotSkipped && !r.Manual {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM state_slots WHERE schedule = ? AND slot = ? AND state <> 'skipped' AND NOT manual`,
			r.Schedule, nanos(r.Slot)).Scan(&n)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			return 0, state.ErrExists
		}
	}
	change, err := nextChange(ctx, tx)
	if err != nil {
		return 0, err
	}
	var n int64
	err = tx.QueryRowContext(ctx, `INSERT INTO state_slots (change, schedule, deployment, operation, slot, last, count, state, run, reason, manual, asked_by, decided)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING n`,
		change, r.Schedule, r.Deployment, string(r.Operation), nanos(r.Slot), nanos(r.Last), r.Count,
		string(r.State), string(r.Run), r.Reason, r.Manual, r.By, nanos(r.DecidedAt)).Scan(&n)
	return n, err
}

func nextChange(ctx context.Context, tx *Tx) (change int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE state_slot_changes SET last = last + 1 RETURNING last`).Scan(&change)
	return change, err
}

// Schedule implements state.Schedules.
func (s *Store) Schedule(ctx context.Context, name string) (state.Schedule, error) {
	if err := s.live(); err != nil {
		return state.Schedule{}, err
	}
	sch, err := scanSchedule(s.read.QueryRowContext(ctx, `SELECT `+withSum(`name, `+scheduleColumns)+` FROM state_schedules WHERE name = ?`, name))
	return sch, about("read schedule", name, err)
}

// Schedules implements state.Schedules.
func (s *Store) Schedules(ctx context.Context) ([]state.Schedule, error) {
	list, err := many(ctx, s, scanSchedule, `SELECT `+withSum(`name, `+scheduleColumns)+` FROM state_schedules ORDER BY name`)
	return list, about("list schedules", "", err)
}

// DeleteSchedule implements state.Schedules.
func (s *Store) DeleteSchedule(ctx context.Context, name string) error {
	err := s.change(ctx, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM state_schedules WHERE name = ?`, name)
		return err
	})
	return about("delete schedule", name, err)
}

// SettleSlot implements state.Schedules.
func (s *Store) SettleSlot(ctx context.Context, n int64, to lockstep.SlotState, reason string) error {
	err := s.change(ctx, func(tx *Tx) error {
		change, err := nextChange(ctx, tx)
		if err != nil {
			return err
		}
		return found(tx.ExecContext(ctx, `UPDATE state_slots SET state = ?, reason = ?, change = ? WHERE n = ? AND `+slotIntact, string(to), reason, change, n))
	})
	return about("settle a slot of schedule", "", err)
}

// Slots implements state.Schedules.
func (s *Store) Slots(ctx context.Context, schedule string, before int64, limit int) ([]lockstep.SlotRecord, error) {
	list, err := many(ctx, s, scanSlot, `SELECT `+slotColumns+` FROM state_slots
		WHERE `+slotIntact+` AND (?1 = '' OR schedule = ?1) AND (CAST(?2 AS BIGINT) = 0 OR n < ?2) ORDER BY n DESC LIMIT ?3`, schedule, before, limit)
	return list, about("list slots of schedule", schedule, err)
}

// ClaimedSlots implements state.Schedules.
func (s *Store) ClaimedSlots(ctx context.Context) ([]lockstep.SlotRecord, error) {
	list, err := many(ctx, s, scanSlot, `SELECT `+slotColumns+` FROM state_slots WHERE state = 'claimed' AND `+slotIntact+` ORDER BY n`)
	return list, about("list claimed slots", "", err)
}

// SlotChanges implements state.Schedules.
func (s *Store) SlotChanges(ctx context.Context, after int64, limit int) ([]state.SlotChange, error) {
	list, err := many(ctx, s, scanChange, `SELECT change, `+slotColumns+` FROM state_slots WHERE change > ? AND `+slotIntact+` ORDER BY change LIMIT ?`, after, limit)
	return list, about("list changes of slots", "", err)
}

// PruneSlots implements state.Schedules.
func (s *Store) PruneSlots(ctx context.Context, keep int) error {
	err := s.change(ctx, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM state_slots WHERE state <> 'claimed' AND n IN (
			SELECT n FROM (SELECT n, row_number() OVER (PARTITION BY schedule ORDER BY n DESC) AS age FROM state_slots) AS x WHERE age > ?)`, keep)
		return err
	})
	return about("prune slots", "", err)
}

func scanSchedule(row scanner) (sch state.Schedule, err error) {
	var definition []byte
	var decided, waiting, pausedAt int64
	var name string
	var intact bool
	err = row.Scan(&name, &sch.Version, &definition, &decided, &waiting, &sch.Paused, &sch.PausedBy, &pausedAt, &intact)
	if err := damaged("schedule "+name, intact, err); err != nil {
		return sch, err
	}
	sch.Decided, sch.Waiting, sch.PausedAt = timeOf(decided), timeOf(waiting), timeOf(pausedAt)
	return sch, json.Unmarshal(definition, &sch.Definition)
}

func scanSlot(row scanner) (lockstep.SlotRecord, error) {
	return scanSlotAfter(row)
}

func scanChange(row scanner) (c state.SlotChange, err error) {
	c.SlotRecord, err = scanSlotAfter(row, &c.Change)
	return c, err
}

// scanSlotAfter scans slotColumns that stand behind other columns.
func scanSlotAfter(row scanner, first ...any) (r lockstep.SlotRecord, err error) {
	var slot, last, decided int64
	err = row.Scan(append(first, &r.N, &r.Schedule, &r.Deployment, &r.Operation, &slot, &last, &r.Count,
		&r.State, &r.Run, &r.Reason, &r.Manual, &r.By, &decided)...)
	r.Slot, r.Last, r.DecidedAt = timeOf(slot), timeOf(last), timeOf(decided)
	return r, err
}
