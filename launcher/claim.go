package launcher

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lockstep"
	"lockstep/internal/faultpoint"
)

// ClaimRequest asks to own an instance.
type ClaimRequest struct {
	// Key is the deployment key, Owner says who asks (host, process, user).
	Key, Owner string
	// Run is the run that will own the instance, Term its fencing number: of
	// one run a lower term than the stored one is refused.
	Run  string
	Term uint64
	// TakeOver claims whatever the present holder is doing.
	TakeOver bool
	// Over is a run that is known to have ended, or "": a control session
	// that still seems to drive it does not stand in the way.
	Over string
}

// ClaimRecord is a claim as it is stored on the instance.
type ClaimRecord struct {
	Key, Owner, Run string
	Term            uint64
	BootID          string
	Time            time.Time
}

// ClaimReply is the answer to a successful claim.
type ClaimReply struct {
	// Term is the highest term that was seen here before, 0 if none.
	Term uint64
	// Displaced is the other run's claim that this one replaced, or nil.
	Displaced *ClaimRecord
	// Open are the steps of any run that were started and have no recorded
	// end: running or dead.
	Open []Status
	// Owed are the unlocks owed, by any run. After a reboot these are all
	// that were armed, for nobody knows what had been started.
	Owed []OwedUnlock
	// BootID of the instance now.
	BootID string
}

// OwedUnlock is an unlock owed and the run that owes it.
type OwedUnlock struct {
	Run string
	Unlock
}

// ClaimedError says who owns the instance and why that cannot be displaced.
type ClaimedError struct {
	Holder ClaimRecord
	// Why is "step" (a script of it is running), "lease" (its lease has not
	// run out), "session" (an orchestrator that drives it was heard within two minutes) or
	// "stale" (it is the same run in a higher term).
	Why string
}

// Error names the holder and the reason.
func (e *ClaimedError) Error() string {
	why := map[string]string{
		"step": "one of its scripts is running", "lease": "its lease has not run out",
		"session": "its orchestrator is connected",
		"stale":   "this is an older term of the same run",
	}[e.Why]
	return fmt.Sprintf("instance is claimed by run %s (term %d, %s, since %s): %s",
		e.Holder.Run, e.Holder.Term, e.Holder.Owner, e.Holder.Time.Format(time.RFC3339), why)
}

// Claim makes the run the owner of the instance, durably. It may be repeated.
// A refusal is a *ClaimedError. The claim is what Start, Settle, Kill, Arm,
// Renew and Release act for from then on.
func (c *Client) Claim(ctx context.Context, req ClaimRequest) (ClaimReply, error) {
	run, err := encodeName(req.Run)
	if err != nil {
		return ClaimReply{}, fmt.Errorf("claim instance: %w", err)
	}
	if req.Term > lockstep.MaxTerm {
		return ClaimReply{}, fmt.Errorf("claim instance: term %d is beyond %d", req.Term, lockstep.MaxTerm)
	}
	takeOver := "0"
	if req.TakeOver {
		takeOver = "1"
	}
	over := "-"
	if req.Over != "" {
		if over, err = encodeName(req.Over); err != nil {
			return ClaimReply{}, fmt.Errorf("claim instance: %w", err)
		}
	}
	words := []string{
		"=" + escapeName(req.Key), "=" + escapeName(req.Owner), run,
		strconv.FormatUint(req.Term, 10), takeOver, over,
	}
	faultpoint.Hit("launcher.claim.before")
	var reply ClaimReply
	err = c.steady(ctx, func(s *session, silence time.Duration) error {
		a := claimAnswer{session: s, run: req.Run, term: req.Term, reply: ClaimReply{Displaced: reply.Displaced}}
		err := s.ask(ctx, question{
			line: line("claim", words), on: a.take, silence: silenceOf("claim", silence), late: lateOf("claim", c.patience),
		})
		reply = a.reply
		return err
	})
	if err != nil {
		return ClaimReply{}, fmt.Errorf("claim instance: %w", err)
	}
	faultpoint.Hit("launcher.claim.after")
	c.claimed(run, req.Term)
	return reply, nil
}

// claimAnswer folds the rows of the answer.
type claimAnswer struct {
	session *session
	run     string
	term    uint64 // that was asked for
	reply   ClaimReply
	rows    int
}

const maxRows = 100_000

func (a *claimAnswer) take(f frame) (bool, error) {
	if a.rows++; a.rows > maxRows {
		return true, fmt.Errorf("%w: too many rows", errFrame)
	}
	switch f.kind {
	case "held":
		record, err := parseClaim(f.words[min(1, len(f.words)):])
		if err == nil && record.Run == a.run {
			err = lockstep.CheckTerm(record.Term, a.term)
		}
		if err != nil {
			return true, err
		}
		return true, &ClaimedError{Holder: record, Why: f.word(0)}
	case "displaced":
		record, err := parseClaim(f.words)
		a.reply.Displaced = &record
		return false, err
	case "open":
		return false, a.open(f)
	case "owed":
		return false, a.owed(f)
	}
	if err := finalError(f); err != nil {
		return true, err
	}
	term, err := strconv.ParseUint(f.word(0), 10, 64)
	if err != nil {
		return true, fmt.Errorf("%w: term %q", errFrame, f.word(0))
	}
	if err := lockstep.CheckTerm(term, a.term); err != nil {
		return true, err
	}
	a.reply.Term, a.reply.BootID = term, f.word(1)
	return true, nil
}

func (a *claimAnswer) open(f frame) error {
	ref, err := parseRef(f.word(0), f.word(1), f.word(2))
	if err != nil {
		return err
	}
	st, err := parseStatus(a.session, ref, f.words[min(3, len(f.words)):])
	a.reply.Open = append(a.reply.Open, st)
	return err
}

func (a *claimAnswer) owed(f frame) error {
	run, err := decodeName(f.word(0))
	if err != nil {
		return fmt.Errorf("%w: run %q", errFrame, f.word(0))
	}
	u, err := parseUnlock(run, f.words[min(1, len(f.words)):])
	a.reply.Owed = append(a.reply.Owed, OwedUnlock{Run: run, Unlock: u})
	return err
}

func parseRef(run, id, attempt string) (StepRef, error) {
	r, err1 := decodeName(run)
	i, err2 := decodeName(id)
	n, err3 := strconv.ParseUint(attempt, 10, 31)
	if err1 != nil || err2 != nil || err3 != nil {
		return StepRef{}, fmt.Errorf("%w: step %.80q", errFrame, []string{run, id, attempt})
	}
	return StepRef{Run: r, ID: i, Attempt: int(n)}, nil
}

// parseClaim reads the words RUN TERM SEEN BOOT TIME KEY OWNER.
func parseClaim(words []string) (ClaimRecord, error) {
	if len(words) < 7 {
		return ClaimRecord{}, fmt.Errorf("%w: claim %.200q", errFrame, words)
	}
	run, err1 := decodeName(words[0])
	term, err2 := strconv.ParseUint(words[1], 10, 64)
	epoch, err3 := strconv.ParseInt(words[4], 10, 40)
	key, err4 := decodeName(strings.TrimPrefix(words[5], "="))
	owner, err5 := decodeName(strings.TrimPrefix(words[6], "="))
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			return ClaimRecord{}, fmt.Errorf("%w: claim %.200q", errFrame, words)
		}
	}
	return ClaimRecord{
		Key: key, Owner: owner, Run: run, Term: term, BootID: words[3], Time: time.Unix(epoch, 0).UTC(),
	}, nil
}

// ReleaseMode says how a run lets go of an instance.
type ReleaseMode string

// The modes of Release.
const (
	// ReleaseDone: the run is over. Its lease, claim and folders go, and those
	// of earlier runs that owe no unlock. It is refused, and an armed lease
	// fires now, when an unlock is owed that was never tried to its end.
	ReleaseDone ReleaseMode = "done"
	// ReleaseAll: as ReleaseDone, and what earlier runs owe has been settled:
	// their folders go too.
	ReleaseAll ReleaseMode = "all"
	// ReleaseBack: as ReleaseDone, for a run that has started nothing here: if
	// its claim displaced another run's, that one owns the instance again, and
	// its lease, if armed, runs on.
	ReleaseBack ReleaseMode = "back"
	// ReleaseNow: the lease, if armed, fires now and does its work detached.
	ReleaseNow ReleaseMode = "now"
)

// Release gives the instance up. Repeating it is harmless. With ReleaseDone,
// owed names unlock steps that the run owes for all its tries: they stay on
// record, and later claims are told of them, until a run has done them or Forget
// is called. Errors: ErrBusy when a step is running, ErrFenced when another run
// owns the instance.
func (c *Client) Release(ctx context.Context, mode ReleaseMode, owed ...string) error {
	run, term := c.owner()
	if mode == ReleaseNow {
		_, err := c.Renew(ctx, 0)
		return err
	}
	words := []string{run, term, string(mode)}
	for _, id := range owed {
		word, err := encodeName(id)
		if err != nil {
			return fmt.Errorf("release instance: owed step %q: %w", id, err)
		}
		words = append(words, word)
	}
	faultpoint.Hit("launcher.release.before")
	_, _, err := c.do(ctx, "release", words...)
	faultpoint.Hit("launcher.release.after")
	return err
}

// Forget strikes an unlock out that another run owes, because somebody vouches
// that it is not needed any more. Repeating it is harmless. Errors: ErrFenced.
func (c *Client) Forget(ctx context.Context, owed StepRef) error {
	words, err := owed.words()
	if err != nil {
		return fmt.Errorf("forget unlock %q: %w", owed.ID, err)
	}
	run, term := c.owner()
	if _, _, err := c.do(ctx, "forget", words[0], words[1], run, term); err != nil {
		return fmt.Errorf("forget unlock %q: %w", owed.ID, err)
	}
	return nil
}
