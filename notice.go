package lockstep

import "time"

// NoticeKind says what a notice is about.
type NoticeKind string

// The kinds of notices.
const (
	NoticeStarted   NoticeKind = "started"
	NoticeSucceeded NoticeKind = "succeeded"
	// NoticeFailed is for runs that failed, were canceled or interrupted, and
	// for scheduled verifies and forgets.
	NoticeFailed NoticeKind = "failed"
	// NoticeHeld: something may still be locked, and no living orchestrator is
	// about to unlock it. It is repeated until NoticeReleased says that this is
	// over.
	NoticeHeld     NoticeKind = "held"
	NoticeReleased NoticeKind = "released"
	// NoticeOverdue: there has been no good backup for too long. It is repeated.
	NoticeOverdue         NoticeKind = "overdue"
	NoticeScheduleSkipped NoticeKind = "schedule-skipped"
	NoticeApprovalAsked   NoticeKind = "approval-asked"
	NoticeTest            NoticeKind = "test"
)

// NoticeKinds are all kinds, in the order of their declaration.
func NoticeKinds() []NoticeKind {
	return []NoticeKind{
		NoticeStarted, NoticeSucceeded, NoticeFailed, NoticeHeld, NoticeReleased, NoticeOverdue,
		NoticeScheduleSkipped, NoticeApprovalAsked, NoticeTest,
	}
}

// Alarm reports whether somebody has to do something. Alarms are kept where
// there is no room for every notice.
func (k NoticeKind) Alarm() bool {
	switch k {
	case NoticeFailed, NoticeHeld, NoticeOverdue, NoticeApprovalAsked:
		return true
	case NoticeStarted, NoticeSucceeded, NoticeReleased, NoticeScheduleSkipped, NoticeTest:
	}
	return false
}

// Notice is what receivers are told. It holds no secret and nothing that a
// script printed. Fields that do not apply are zero.
type Notice struct {
	// ID is the same each time that this notice is sent, so that a receiver can
	// tell a repetition.
	ID   string     `json:"id"`
	Kind NoticeKind `json:"kind"`
	Time time.Time  `json:"time"`
	// Title is one line, Text one or a few sentences, Hint what to type next.
	Title string `json:"title"`
	Text  string `json:"text,omitempty"`
	Hint  string `json:"hint,omitempty"`

	Deployment string        `json:"deployment,omitempty"`
	Key        DeploymentKey `json:"key,omitempty"`
	Operation  string        `json:"operation,omitempty"`
	Run        RunID         `json:"run,omitempty"`
	State      RunState      `json:"state,omitempty"`
	Data       DataState     `json:"data,omitempty"`
	Locks      LockState     `json:"locks,omitempty"`
	Backup     BackupID      `json:"backup,omitempty"`
	ExitCode   int           `json:"exit_code,omitempty"`
	StartedAt  time.Time     `json:"started_at,omitzero"`
	EndedAt    time.Time     `json:"ended_at,omitzero"`
	LockWindow float64       `json:"lock_window_seconds,omitempty"`
	// Held are the jobs that may still be locked, as GROUP/INDEX/JOB, Since when
	// the first of them was locked.
	Held  []string  `json:"held,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// LastGood is when the newest good backup was made; zero: there is none.
	LastGood time.Time `json:"last_good,omitzero"`
	// Repetition counts how often an alarm was repeated; 0 is the first time.
	Repetition int       `json:"repetition,omitempty"`
	Schedule   string    `json:"schedule,omitempty"`
	Slot       time.Time `json:"slot,omitzero"`
	// URL is where to look, if the server knows how it is reached.
	URL string `json:"url,omitempty"`
}
