package auditlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	recordsFile, headsFile, keyFile, pubFile = "audit.jsonl", "heads", "key", "key.pub"

	// headEvery and headAfter are how many records, and how much time, may be
	// without a signed head behind them.
	headEvery, headAfter = 64, time.Minute
	// lockWait is how long another process may be writing.
	lockWait = 5 * time.Second
)

// Options are what a Log is opened with.
type Options struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log is given every signed head, so that it leaves the host; nil is
	// slog.Default.
	Log *slog.Logger
}

// Log is an opened audit log. Several processes may write one at once; each
// record is written under a lock on the file.
type Log struct {
	dir    string
	now    func() time.Time
	log    *slog.Logger
	signer signing

	mu   sync.Mutex
	file *os.File
	// tail is what this process knows of the file's end.
	tail tail
	// broken, if not nil, is why nothing is written any more.
	broken error
	head   Head // the last one that was signed here
}

// tail is the end of the records.
type tail struct {
	size int64
	n    int64
	hash hash // of the last line
}

var _ Recorder = (*Log)(nil)

// Open opens the log in a folder, which it makes if there is none.
func Open(dir string, o Options) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	l := &Log{dir: dir, now: o.Now, log: o.Log}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open audit log %s: %w", dir, err)
	}
	return l, nil
}

func (l *Log) open() error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	signer, made, err := loadSigner(l.dir)
	if err != nil {
		return err
	}
	l.signer = signer
	if l.file, err = os.OpenFile(filepath.Join(l.dir, recordsFile), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	if err := syncDir(l.dir); err != nil {
		return errors.Join(err, l.file.Close())
	}
	if err := l.begin(made); err != nil {
		return errors.Join(err, l.file.Close())
	}
	return nil
}

// begin finds the end, and records what does not look as it should.
func (l *Log) begin(newKey bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.catchUp(); err != nil {
		return err
	}
	head, err := lastHead(filepath.Join(l.dir, headsFile), l.signer)
	if err != nil {
		return err
	}
	l.head = head
	switch {
	case newKey && l.tail.n > 0:
		l.log.Error("the key of the audit log was gone and is made anew: older heads cannot be verified with it", "dir", l.dir)
		return l.write(Entry{By: "lockstep", Action: "audit:key", Result: Done, Detail: map[string]string{"key": "made anew"}})
	case head.N > l.tail.n:
		l.log.Error("the audit log is shorter than its last signed head: records were removed", "dir", l.dir, "signed", head.N, "found", l.tail.n)
		return l.write(Entry{By: "lockstep", Action: "audit:short", Result: Done, Detail: map[string]string{
			"signed": fmt.Sprint(head.N), "found": fmt.Sprint(l.tail.n)}})
	}
	return nil
}

// Record implements Recorder.
func (l *Log) Record(ctx context.Context, e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(ctx.Err(), l.broken); err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	unlock, err := l.lock()
	if err == nil {
		defer unlock()
		err = l.catchUp()
	}
	if err == nil {
		err = l.write(e)
	}
	if err != nil {
		return fmt.Errorf("write audit log %s: %w", l.dir, err)
	}
	if l.tail.n-l.head.N >= headEvery {
		l.signLocked(ctx)
	}
	return nil
}

// write appends one record and makes it durable. The file is locked.
func (l *Log) write(e Entry) error {
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	e.Time = e.Time.UTC()
	line, err := Record{N: l.tail.n + 1, Prev: l.tail.hash.String(), Entry: clipped(e)}.line()
	if err != nil {
		return err
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		// What was written of it must not stand before the next one.
		if cut := l.file.Truncate(l.tail.size); cut != nil {
			l.broken = errors.Join(err, cut)
		}
		return err
	}
	if err := l.file.Sync(); err != nil {
		// Nobody knows now what is on the disk.
		l.broken = fmt.Errorf("an earlier write failed: %w", err)
		return err
	}
	l.tail = tail{size: l.tail.size + int64(len(line)) + 1, n: l.tail.n + 1, hash: sha256.Sum256(line)}
	return nil
}

// catchUp reads what another process has written since, and cuts off what a
// process that died has written of a line. The file is locked.
func (l *Log) catchUp() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.Size() == l.tail.size:
		return nil
	case info.Size() < l.tail.size:
		return fmt.Errorf("it had %d bytes and has %d: records were removed", l.tail.size, info.Size())
	}
	t, err := readTail(l.file, info.Size())
	if err != nil {
		return err
	}
	torn := info.Size() - t.size
	l.tail = t
	if torn == 0 {
		return nil
	}
	// Nothing was done for it: a record counts when it is durable.
	if err := l.file.Truncate(t.size); err != nil {
		return err
	}
	return l.write(Entry{By: "lockstep", Action: "audit:torn", Result: Done, Detail: map[string]string{"bytes": fmt.Sprint(torn)}})
}

// readTail finds the last whole line of the first size bytes.
func readTail(r io.ReaderAt, size int64) (tail, error) {
	from := max(0, size-2*maxLine)
	buf := make([]byte, size-from)
	if _, err := r.ReadAt(buf, from); err != nil && !errors.Is(err, io.EOF) {
		return tail{}, err
	}
	end := bytes.LastIndexByte(buf, '\n')
	if end < 0 {
		if from > 0 {
			return tail{}, errors.New("it does not end in lines")
		}
		return tail{}, nil // nothing but the beginning of a first line
	}
	begin := bytes.LastIndexByte(buf[:end], '\n') + 1
	line := buf[begin:end]
	r0, err := readRecord(line)
	if err != nil {
		return tail{}, fmt.Errorf("its last line is not a record: %w", err)
	}
	return tail{size: from + int64(end) + 1, n: r0.N, hash: sha256.Sum256(line)}, nil
}

// lock takes the file's lock, which all processes that write honour.
func (l *Log) lock() (unlock func(), _ error) {
	fd := int(l.file.Fd())
	for deadline := time.Now().Add(lockWait); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = unix.Flock(fd, unix.LOCK_UN) }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			return nil, fmt.Errorf("lock it: %w", err)
		}
	}
}

// Run signs a head at times, until ctx ends.
func (l *Log) Run(ctx context.Context) { signAtTimes(ctx, l.Sign) }

func signAtTimes(ctx context.Context, sign func(context.Context)) {
	tick := time.NewTicker(headAfter)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			sign(ctx)
		}
	}
}

// Close signs the last head and closes the file.
func (l *Log) Close() error {
	l.Sign(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = errors.Join(l.broken, os.ErrClosed)
	return l.file.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
