// Package notify is the port to those who are told what happens: a notice in, a
// message at a receiver out. What to tell, whom, and how often to try is the
// outbox's business; an adapter sends one message once.
package notify

import (
	"context"

	"lockstep"
)

// Notice is what is told.
type Notice = lockstep.Notice

// Sender sends notices to one receiver.
type Sender interface {
	// Send sends one notice and returns when the receiver has taken it. It may
	// be called concurrently, and again with the same notice: the receiver can
	// tell by its ID. It ends within a minute, whatever the receiver does, and
	// with ctx. Its errors hold no secret.
	Send(ctx context.Context, n Notice) error
	// Type is "webhook", "email" or "chat"; Target says where it sends to,
	// without secrets.
	Type() string
	Target() string
}
