package lockstep

import (
	"context"
	"time"
)

// NoticeKind says what a notice is about.
type NoticeKind string

// The kinds of notices.
const (
	NoticeStarted   NoticeKind = "started"
	NoticeSucceeded NoticeKind = "succeeded"
	// NoticeFailed is for runs that failed, were canceled or interrupted, and
	// for scheduled verifies, forgets and copies.
	NoticeFailed NoticeKind = "failed"
	// NoticeHeld: something may still be locked, and no living orchestrator is
	// about to unlock it. It is repeated until NoticeReleased says that this is
	// over.
	NoticeHeld     NoticeKind = "held"
	NoticeReleased NoticeKind = "released"
	// NoticeOverdue: there has been no good backup for too long. It is repeated.
	NoticeOverdue NoticeKind = "overdue"
	// NoticeDamaged and NoticeSuspect are about one backup; NoticeHalfRestored
	// about a deployment whose last restore ended partial, NoticeRepositoryMissing
	// about all backups. The latter two are repeated.
	NoticeDamaged           NoticeKind = "damaged"
	NoticeSuspect           NoticeKind = "suspect"
	NoticeHalfRestored      NoticeKind = "half-restored"
	NoticeRepositoryMissing NoticeKind = "repository-missing"

	NoticeScheduleSkipped NoticeKind = "schedule-skipped"
	NoticeApprovalAsked   NoticeKind = "approval-asked"
	NoticeTest            NoticeKind = "test"
)

// NoticeKinds are all kinds, in the order of their declaration.
func NoticeKinds() []NoticeKind {
	return []NoticeKind{
		NoticeStarted, NoticeSucceeded, NoticeFailed, NoticeHeld, NoticeReleased, NoticeOverdue,
		NoticeDamaged, NoticeSuspect, NoticeHalfRestored, NoticeRepositoryMissing,
		NoticeScheduleSkipped, NoticeApprovalAsked, NoticeTest,
	}
}

// Alarm reports whether somebody has to do something. Alarms are kept where
// there is no room for every notice.
func (k NoticeKind) Alarm() bool {
	switch k {
	case NoticeFailed, NoticeHeld, NoticeOverdue, NoticeApprovalAsked,
		NoticeDamaged, NoticeSuspect, NoticeHalfRestored, NoticeRepositoryMissing:
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

// DeliveryState says how far a notice is on its way to one receiver.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryFailed    DeliveryState = "failed"  // given up on
	DeliveryDropped   DeliveryState = "dropped" // too many waited for this receiver
)

// Delivery is one notice on its way to one receiver.
type Delivery struct {
	// N numbers all deliveries, from 1; later ones are higher.
	N        int64         `json:"n"`
	Receiver string        `json:"receiver"`
	State    DeliveryState `json:"state"`
	Notice   Notice        `json:"notice"`
	// Tries counts those made, NextTry is when the next one is due.
	Tries   int       `json:"tries"`
	NextTry time.Time `json:"next_try,omitzero"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	// Error is that of the last try; it holds no secret.
	Error string `json:"error,omitempty"`
}

// DeliveryFilter narrows a list of deliveries. Zero fields do not narrow.
type DeliveryFilter struct {
	Receiver string
	State    DeliveryState
	Before   int64 // deliveries with a lower number
	Limit    int   // 0: 100
}

// Receiver is somebody who is told, and how that goes.
type Receiver struct {
	Name string `json:"name"`
	// Type is "webhook", "email" or "chat"; Target says where, without secrets.
	Type        string       `json:"type"`
	Target      string       `json:"target"`
	Kinds       []NoticeKind `json:"kinds"`
	Deployments []string     `json:"deployments"`
	// Of those kept, how many deliveries are in which state.
	Pending   int `json:"pending"`
	Delivered int `json:"delivered"`
	Failed    int `json:"failed"`
	Dropped   int `json:"dropped"`
	// Oldest is when the oldest pending notice was made, zero if there is none.
	Oldest time.Time `json:"oldest,omitzero"`
}

// TestResult says how a test notice went.
type TestResult struct {
	Receiver string  `json:"receiver"`
	OK       bool    `json:"ok"`
	Error    string  `json:"error,omitempty"`
	Took     float64 `json:"took_seconds"`
}

// Notices is everything that a client can ask of an orchestrator's notices. All
// methods may be called concurrently.
type Notices interface {
	// Receivers lists the configured receivers, by name.
	Receivers(ctx context.Context) ([]Receiver, error)
	// Deliveries lists what was and is to be delivered, newest first.
	Deliveries(ctx context.Context, filter DeliveryFilter) ([]Delivery, error)
	// Test sends a test notice at once to that receiver ("" means all), past the
	// queue, and says how it went. An unknown name is KindNotFound.
	Test(ctx context.Context, receiver string) ([]TestResult, error)
}
