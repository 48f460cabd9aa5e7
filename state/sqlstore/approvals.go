package sqlstore

import (
	"context"
	"errors"
	"math"
	"time"

	"lockstep/state"
)

const approvalColumns = `id, deployment, request, plan, plan_run, reason, asked_by, asked, expires, decided_by, decided, approved, run, used`

// AddApproval implements state.Approvals.
func (s *Store) AddApproval(ctx context.Context, a state.Approval) error {
	err := s.insert(ctx, `INSERT INTO state_approvals (id, deployment, request, plan, plan_run, reason, asked_by, asked, expires)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		a.ID, a.Deployment, a.Request, a.Plan, a.PlanRun, a.Reason, a.AskedBy, nanos(a.AskedAt), nanos(a.ExpiresAt))
	return about("keep approval", a.ID, err)
}

// Approval implements state.Approvals.
func (s *Store) Approval(ctx context.Context, id string) (state.Approval, error) {
	if err := s.live(); err != nil {
		return state.Approval{}, err
	}
	a, err := scanApproval(s.read.QueryRowContext(ctx, `SELECT `+withSum(approvalColumns)+` FROM state_approvals WHERE id = ?`, id))
	return a, about("read approval", id, err)
}

// Approvals implements state.Approvals.
func (s *Store) Approvals(ctx context.Context, before string, limit int) ([]state.Approval, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	list, err := many(ctx, s, scanApproval, `SELECT `+withSum(approvalColumns)+` FROM state_approvals
		WHERE ?1 = '' OR n < (SELECT n FROM state_approvals WHERE id = ?1) ORDER BY n DESC LIMIT ?2`, before, limit)
	return list, about("list approvals", "", err)
}

// DecideApproval implements state.Approvals.
func (s *Store) DecideApproval(ctx context.Context, id string, d state.Decision) error {
	err := s.change(ctx, func(tx *Tx) error {
		err := found(tx.ExecContext(ctx, `UPDATE state_approvals SET approved = ?, decided_by = ?, decided = ?, expires = ? WHERE id = ? AND decided = 0`,
			d.Approved, d.By, nanos(d.At), nanos(d.ExpiresAt), id))
		if !errors.Is(err, state.ErrNotFound) {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT 1 FROM state_approvals WHERE id = ?`, id).Scan(&n); err != nil {
			return err
		}
		return state.ErrExists
	})
	return about("decide approval", id, err)
}

// UseApproval implements state.Approvals.
func (s *Store) UseApproval(ctx context.Context, id, run string, at time.Time) error {
	err := s.change(ctx, func(tx *Tx) error {
		a, err := scanApproval(tx.QueryRowContext(ctx, `SELECT `+withSum(approvalColumns)+` FROM state_approvals WHERE id = ?`, id))
		switch {
		case err != nil:
			return err
		case !a.Approved:
			return state.ErrNotFound
		}
		switch a.Run {
		case run:
			return nil
		case "":
			return found(tx.ExecContext(ctx, `UPDATE state_approvals SET run = ?, used = ? WHERE id = ?`, run, nanos(at), id))
		}
		return state.ErrExists
	})
	return about("use approval", id, err)
}

// ReleaseApproval implements state.Approvals.
func (s *Store) ReleaseApproval(ctx context.Context, id, run string) error {
	err := s.change(ctx, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE state_approvals SET run = '', used = 0 WHERE id = ? AND run = ?`, id, run)
		return err
	})
	return about("release approval", id, err)
}

func scanApproval(row scanner) (state.Approval, error) {
	var a state.Approval
	var asked, expires, decided, used int64
	var intact bool
	err := row.Scan(&a.ID, &a.Deployment, &a.Request, &a.Plan, &a.PlanRun, &a.Reason, &a.AskedBy, &asked, &expires,
		&a.DecidedBy, &decided, &a.Approved, &a.Run, &used, &intact)
	a.AskedAt, a.ExpiresAt, a.DecidedAt, a.UsedAt = timeOf(asked), timeOf(expires), timeOf(decided), timeOf(used)
	return a, damaged("approval "+a.ID, intact, err)
}
