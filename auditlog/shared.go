package auditlog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Lines is the port to the lines and heads of a log that several hosts write: a
// database. All methods may be called concurrently, from several processes at once.
type Lines interface {
	// Append adds a line, durably, behind the last one: next is given the number and
	// the line of that, 0 and nil for none. Nobody else adds one between.
	Append(ctx context.Context, next func(last int64, line []byte) ([]byte, error)) (n int64, err error)
	// AddAll adds lines as they are behind the one of that number, all or none.
	AddAll(ctx context.Context, after int64, lines [][]byte) error
	// Last is the number of the last line and the line; 0 and nil for none.
	Last(ctx context.Context) (n int64, line []byte, err error)
	// All calls use with each line, in order.
	All(ctx context.Context, use func(line []byte) error) error
	// Before gives the lines below a number, newest first, at most limit.
	Before(ctx context.Context, n int64, limit int) ([][]byte, error)
	// AddHead keeps a signed head, and the public key that verifies it.
	AddHead(ctx context.Context, n int64, note, public string) error
	// Heads are all signed heads, oldest first, and the public keys.
	Heads(ctx context.Context) (notes, publics []string, err error)
	// Close may be called twice.
	Close() error
}

// Shared is a log that several hosts write. Each signs heads with the key of its own
// folder.
type Shared struct {
	lines  Lines
	signer signing
	now    func() time.Time
	log    *slog.Logger

	mu     sync.Mutex // guards what follows
	head   int64      // how many records the last head that was signed here vouches for
	closed bool
}

var (
	_ Recorder = (*Shared)(nil)
	_ Reader   = (*Shared)(nil)
)

// OpenShared opens a log. dir holds the key that signs heads; it is made if there is
// none. Close closes the lines too.
func OpenShared(ctx context.Context, dir string, lines Lines, o Options) (*Shared, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the audit log's key: %w", err)
	}
	signer, _, err := loadSigner(dir)
	if err != nil {
		return nil, fmt.Errorf("load the key of the audit log: %w", err)
	}
	s := &Shared{lines: lines, signer: signer, now: o.Now, log: o.Log}
	return s, s.begin(ctx)
}

// begin tells of records that are gone: a head vouches for more than there are.
func (s *Shared) begin(ctx context.Context) error {
	n, _, err := s.lines.Last(ctx)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	r := Report{}
	if _, err := r.sharedHeads(ctx, s.lines, Trust{}); err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	s.head = min(n, r.Signed)
	if r.Signed <= n {
		return nil
	}
	s.log.Error("the audit log is shorter than its last signed head: records were removed", "signed", r.Signed, "found", n)
	return s.Record(ctx, Entry{By: "lockstep", Action: "audit:short", Result: Done, Detail: map[string]string{
		"signed": fmt.Sprint(r.Signed), "found": fmt.Sprint(n)}})
}

// Record implements Recorder.
func (s *Shared) Record(ctx context.Context, e Entry) error {
	if err := errors.Join(ctx.Err(), s.live()); err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	e.Time = e.Time.UTC()
	e = clipped(e)
	n, err := s.lines.Append(ctx, func(last int64, line []byte) ([]byte, error) {
		return Record{N: last + 1, Prev: hashOf(line).String(), Entry: e}.line()
	})
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	s.mu.Lock()
	due := n-s.head >= headEvery
	s.mu.Unlock()
	if due {
		s.Sign(ctx)
	}
	return nil
}

// hashOf is that of a line; zero for none.
func hashOf(line []byte) hash {
	if line == nil {
		return hash{}
	}
	return sha256.Sum256(line)
}

func (s *Shared) live() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	return nil
}

// Sign signs a head, if there are records without one. Its failure is told to the
// program's log only: the records are durable without it.
func (s *Shared) Sign(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if err := s.sign(ctx); err != nil {
		s.log.ErrorContext(ctx, "no head of the audit log could be signed", "error", err)
	}
}

func (s *Shared) sign(ctx context.Context) error {
	n, line, err := s.lines.Last(ctx)
	if err != nil || n == 0 || n == s.head {
		return err
	}
	head, err := signHead(s.signer, tail{n: n, hash: hashOf(line)}, s.now().UTC())
	if err == nil {
		err = s.lines.AddHead(ctx, n, head.Note, s.signer.public)
	}
	if err != nil {
		return err
	}
	s.head = n
	s.log.InfoContext(ctx, "audit log head", "records", head.N, "hash", head.Hash, "note", head.Note)
	return nil
}

// Run signs a head at times, until ctx ends.
func (s *Shared) Run(ctx context.Context) { signAtTimes(ctx, s.Sign) }

// Close signs the last head and closes the lines.
func (s *Shared) Close() error {
	s.Sign(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.lines.Close()
}
