package auditlog

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Head says how many records there were, and the hash of the last one.
type Head struct {
	N    int64     `json:"n"`
	Hash string    `json:"hash"`
	Time time.Time `json:"time"`
	// Note is the head with its signature.
	Note string `json:"note"`
}

const (
	// headTitle is the first line of every head.
	headTitle = "lockstep audit log"
	keyName   = "lockstep-audit"
	maxNote   = 4 << 10
)

// Sign signs a head, if there are records without one. Its failure is told to
// the program's log only: the records are durable without it.
func (l *Log) Sign(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return
	}
	unlock, err := l.lock()
	if err == nil {
		defer unlock()
		err = l.catchUp()
	}
	if err != nil {
		l.log.ErrorContext(ctx, "no head of the audit log could be signed", "error", err)
		return
	}
	l.signLocked(ctx)
}

// signLocked signs; the file is locked.
func (l *Log) signLocked(ctx context.Context) {
	if l.tail.n == 0 || l.tail.n == l.head.N {
		return
	}
	head, err := signHead(l.signer, l.tail, l.now().UTC())
	if err == nil {
		err = appendSynced(filepath.Join(l.dir, headsFile), []byte(head.Note+"\n"))
	}
	if err != nil {
		l.log.ErrorContext(ctx, "no head of the audit log could be signed", "error", err)
		return
	}
	l.head = head
	l.log.InfoContext(ctx, "audit log head", "records", head.N, "hash", head.Hash, "note", head.Note)
}

func signHead(signer signing, t tail, at time.Time) (Head, error) {
	h := Head{N: t.n, Hash: t.hash.String(), Time: at}
	text := fmt.Sprintf("%s\n%d\n%s\n%s\n", headTitle, h.N, h.Hash, at.Format(time.RFC3339))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	h.Note = string(signed)
	return h, err
}

// ReadHead checks a head's signature and reads it.
func ReadHead(signed []byte, v note.Verifier) (Head, error) {
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Head{}, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 5 || lines[0] != headTitle {
		return Head{}, errors.New("no head of an audit log")
	}
	h := Head{Hash: lines[2], Note: string(signed)}
	if h.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil || h.N < 1 {
		return Head{}, fmt.Errorf("%q is not a number of records", lines[1])
	}
	if b, err := hex.DecodeString(h.Hash); err != nil || len(b) != len(hash{}) {
		return Head{}, fmt.Errorf("%q is not a hash", h.Hash)
	}
	h.Time, err = time.Parse(time.RFC3339, lines[3])
	return h, err
}

// splitNotes finds the heads in a file of them, or in whatever else they were
// copied to: each begins with the title and ends with its signatures, lines
// that begin with a dash. A part of one is passed over; closed says that each
// whole one has an empty line behind it, as in the file of heads, where a
// process may have died in the middle of a signature.
func splitNotes(b []byte, closed bool) [][]byte {
	const dash = "— "
	var notes [][]byte
	begin, at := -1, 0
	for line := range bytes.Lines(b) {
		start := at
		at += len(line)
		switch {
		case string(line) == headTitle+"\n":
			begin = start
		case begin >= 0 && bytes.HasPrefix(line, []byte(dash)) && line[len(line)-1] == '\n' && !bytes.HasPrefix(b[at:], []byte(dash)):
			if !closed || bytes.HasPrefix(b[at:], []byte("\n")) {
				notes = append(notes, b[begin:at])
			}
			begin = -1
		}
	}
	return notes
}

// lastHead is the last head of the file that this key signed, or the zero
// Head.
func lastHead(path string, signer signing) (Head, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Head{}, err
	}
	from := max(0, info.Size()-2*maxNote)
	end, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return Head{}, err
	}
	// The first note may have lost its beginning, and does not verify then.
	v, err := signer.verifier()
	if err != nil {
		return Head{}, err
	}
	var last Head
	for _, n := range splitNotes(end, true) {
		if h, err := ReadHead(n, v); err == nil {
			last = h
		}
	}
	return last, nil
}

// appendSynced appends lines to a file. What a process that died left of a line
// is closed off first.
func appendSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	var last [1]byte
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		if _, err := f.ReadAt(last[:], info.Size()-1); err == nil && last[0] != '\n' {
			b = append([]byte("\n"), b...)
		}
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// signing is a signer that knows its verifier.
type signing struct {
	note.Signer
	public string
}

func (s signing) verifier() (note.Verifier, error) { return note.NewVerifier(s.public) }
