// Package heads is what is known outside of a journal's database of the last event
// of each run: a folder of small files. A database that was set back, or lost its
// end, is known by them.
package heads

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lockstep"
)

// Head is what is known outside of the database of a run's last event: a file of
// its own, written after the transaction was synced, so that it never says more
// than what is durable. It may say less.
type Head struct {
	Run        lockstep.RunID         `json:"run"`
	Key        lockstep.DeploymentKey `json:"key"`
	Deployment string                 `json:"deployment"`
	Seq        uint64                 `json:"seq"`
	Link       []byte                 `json:"link"`
	Ended      bool                   `json:"ended"`
}

// Of is the head of a run whose last event has that link.
func Of(s lockstep.RunSummary, seq uint64, link []byte) Head {
	return Head{Run: s.ID, Key: s.Key, Deployment: s.Deployment, Seq: seq, Link: link, Ended: s.State != lockstep.RunRunning}
}

// Folder is the folder of the heads. It is safe for concurrent use.
type Folder struct {
	dir   string
	Pause func() // before a head that looks damaged is read once more; see reread

	mu    sync.Mutex // guards what follows
	dirty map[string]struct{}
	later *time.Timer // syncs what is dirty; nil if nothing is
}

// New gives the heads that lie in a folder, which need not be there.
func New(dir string) *Folder { return &Folder{dir: dir, Pause: reread} }

// Dir is the folder.
func (h *Folder) Dir() string { return h.dir }

// path is the file of a run's head, "" for that of the records; run ids are names
// as they are.
func (h *Folder) path(run lockstep.RunID) string {
	return filepath.Join(h.dir, url.PathEscape(string(run))+".head")
}

// syncHeads is how long a head may not be synced: until then a loss of power may
// take it, with the knowledge of what a damaged log then lost.
const syncHeads = time.Second

// Put writes the head of a run. That it cannot is not an error: the run is as durable
// as before, and only the loss of its end would not be known.
func (h *Folder) Put(x Head) {
	if h == nil {
		return
	}
	f, err := os.OpenFile(h.path(x.Run), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	_, err = f.WriteAt(x.line(), 0) // in place; one sector of the disk, as a rule
	if errors.Join(err, f.Close()) != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dirty == nil {
		h.dirty = map[string]struct{}{}
	}
	h.dirty[h.path(x.Run)] = struct{}{}
	if h.later == nil {
		h.later = time.AfterFunc(syncHeads, h.Sync)
	}
}

// Sync makes durable what Put has written.
func (h *Folder) Sync() {
	h.mu.Lock()
	dirty := h.dirty
	if h.later != nil {
		h.later.Stop()
	}
	h.dirty, h.later = nil, nil
	h.mu.Unlock()
	for path := range dirty {
		_ = syncFile(path) // see Put
	}
	if len(dirty) > 0 {
		_ = syncFolder(h.dir)
	}
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// line is the head as its file begins: JSON, a space, the CRC-32C of that, and the
// end of the line. What is behind it is older.
func (x Head) line() []byte {
	b, err := json.Marshal(x)
	if err != nil {
		panic(err) // it has nothing that JSON has not
	}
	return fmt.Appendf(b, " %08x\n", crc32.Checksum(b, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrNone: a file that claims nothing. A loss of power may leave it empty.
var ErrNone = errors.New("it says nothing")

// parseHead is the inverse of line.
func parseHead(text []byte) (Head, error) {
	var x Head
	line, _, _ := strings.Cut(string(text), "\n")
	if strings.Trim(string(text), "\x00") == "" {
		return x, ErrNone
	}
	i := strings.LastIndexByte(line, ' ')
	if i < 0 || line[i+1:] != fmt.Sprintf("%08x", crc32.Checksum([]byte(line[:i]), castagnoli)) {
		return x, errors.New("it is damaged")
	}
	return x, json.Unmarshal([]byte(line[:i]), &x)
}

// maxHead bounds a head's file.
const maxHead = 64 << 10

// reread is a pause after which a head that looks damaged is read once more: it may
// have been read while another process wrote it, which takes no lock.
func reread() { time.Sleep(5 * time.Millisecond) }

// Read is the head of a run as it is now; fs.ErrNotExist if it has none.
func (h *Folder) Read(run lockstep.RunID) (Head, error) {
	x, err := h.readOnce(run)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNone) {
		return x, err
	}
	h.Pause()
	return h.readOnce(run)
}

func (h *Folder) readOnce(run lockstep.RunID) (Head, error) {
	f, err := os.Open(h.path(run))
	if err != nil {
		return Head{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHead))
	if err != nil {
		return Head{}, err
	}
	x, err := parseHead(text)
	if err == nil && x.Run != run {
		err = fmt.Errorf("it is the one of run %s", x.Run)
	}
	return x, err
}

// Runs are the runs that have a head.
func (h *Folder) Runs() ([]lockstep.RunID, error) {
	entries, err := os.ReadDir(h.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var runs []lockstep.RunID
	for _, e := range entries {
		name, ours := strings.CutSuffix(e.Name(), ".head")
		if run, bad := url.PathUnescape(name); ours && bad == nil {
			runs = append(runs, lockstep.RunID(run))
		}
	}
	return runs, err
}

// Ended lists runs that have ended, of whose heads over says that nothing needs them, if
// there are at least from heads.
func (h *Folder) Ended(from int, over func(Head) bool) (done []lockstep.RunID) {
	runs, err := h.Runs()
	if err != nil || len(runs) < from {
		return nil
	}
	for _, run := range runs {
		if x, err := h.Read(run); err == nil && x.Ended && over(x) {
			done = append(done, run)
		}
	}
	return done
}

// Drop takes heads away, durably: what they claim need not hold any more.
func (h *Folder) Drop(runs ...lockstep.RunID) error {
	gone := false
	for _, run := range runs {
		err := os.Remove(h.path(run))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		gone = gone || err == nil
	}
	if !gone {
		return nil
	}
	return syncFolder(h.dir)
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Make makes the folder, of mode 0700, if there is none.
func (h *Folder) Make() error {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(h.dir))
}
