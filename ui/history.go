package ui

import (
	"fmt"
	"slices"
	"time"

	"lockstep"
	"lockstep/internal/units"
)

// History is the lock windows of a deployment's last backups, as bars.
type History struct {
	Bars []HistoryBar
	// Median is the height at which half of the windows lie, from the top.
	Median float64
	// Text says the same in words.
	Text string
}

// HistoryBar is the lock window of one backup run, oldest at the left.
type HistoryBar struct {
	Run        lockstep.RunID
	X, Y, W, H float64
	State      string
	// Cut: the window was longer than the picture is high.
	Cut   bool
	Title string
}

// The size of a history's picture in units of its own.
const (
	historyWide, historyHigh = 240.0, 48.0
	historySlots             = 24
	// mostMedians is how many medians the picture is high at most.
	mostMedians = 3
)

// CutX is where the mark of a cut bar begins.
func (b HistoryBar) CutX() float64 { return b.X - 1 }

// CutEnd is where the mark of a cut bar ends.
func (b HistoryBar) CutEnd() float64 { return b.X + b.W + 1 }

// HistoryOf draws the backup runs among those given, newest first, that ended
// and locked something.
func HistoryOf(runs []lockstep.RunSummary) History {
	var locked []lockstep.RunSummary
	for _, r := range runs {
		if r.Operation == lockstep.OperationBackup && r.State != lockstep.RunRunning && r.LockWindow > 0 && len(locked) < historySlots {
			locked = append(locked, r)
		}
	}
	if len(locked) == 0 {
		return History{Text: "nothing was locked yet"}
	}
	seconds := make([]float64, len(locked))
	for i, r := range locked {
		seconds[i] = r.LockWindow
	}
	slices.Sort(seconds)
	longest, median := seconds[len(seconds)-1], seconds[len(seconds)/2]
	// One bad night must not press all others flat.
	top := min(longest, mostMedians*median)
	h := History{Median: round(historyHigh - historyHigh*median/top)}
	slot := historyWide / historySlots
	for i, r := range locked {
		high := min(historyHigh, max(2, historyHigh*r.LockWindow/top))
		h.Bars = append(h.Bars, HistoryBar{
			Run: r.ID, X: round(historyWide - slot*float64(i+1) + 1), W: slot - 2, Y: round(historyHigh - high), H: round(high),
			State: verdictOf(r).State, Cut: r.LockWindow > top,
			Title: fmt.Sprintf("%s: %s, locked for %s", moment(r.StartedAt), verdictOf(r).Word, seconds2(r.LockWindow)),
		})
	}
	slices.Reverse(h.Bars)
	h.Text = fmt.Sprintf("last %s, median %s, longest %s", seconds2(locked[0].LockWindow), seconds2(median), seconds2(longest))
	return h
}

func round(x float64) float64 { return float64(int(x*10+0.5)) / 10 }

func seconds2(s float64) string { return units.Span(time.Duration(s * float64(time.Second))) }

// moment is a time as the pages write it.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05") + " UTC" }
