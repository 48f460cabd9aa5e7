package writes

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"lockstep/test/writes/oplog"
)

// recorder stands between SQLite and its own access to files, and writes down
// what is done to those below root. It is the default of this process, so that
// the journal needs not know.
type recorder struct {
	under   *sqlite3.Tsqlite3_vfs
	methods map[uintptr]uintptr // ours by SQLite's own
	mu      sync.Mutex
	root    string // "" records nothing
	ops     []oplog.Op
	known   map[string]bool
	heads   map[string]string // the files below heads, which are not SQLite's, as they were last seen
	files   map[uintptr]*file // by the handle of SQLite
}

// file is an open file.
type file struct {
	name string
	own  *sqlite3.Tsqlite3_io_methods
	// syncsFolder: SQLite syncs the folder with the file's first sync.
	syncsFolder bool
}

// The functions of SQLite are addresses here. An address is made a function, and
// a function an address, as in the code that was translated from C.
func call[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&struct{ a uintptr }{address})) }
func at[T any](p uintptr) *T        { return *(**T)(unsafe.Pointer(&p)) }

// ours keeps the functions whose addresses SQLite has: the collector does not
// see those.
var ours []any

func address[F any](f F) uintptr {
	kept := &f
	ours = append(ours, kept)
	return *(*uintptr)(unsafe.Pointer(kept))
}

type (
	openFunc     = func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32
	deleteFunc   = func(*libc.TLS, uintptr, uintptr, int32) int32
	closeFunc    = func(*libc.TLS, uintptr) int32
	writeFunc    = func(*libc.TLS, uintptr, uintptr, int32, int64) int32
	truncateFunc = func(*libc.TLS, uintptr, int64) int32
	syncFunc     = func(*libc.TLS, uintptr, int32) int32
)

var record = register()

// register puts the recorder in place, for the whole process.
func register() *recorder {
	tls := libc.NewTLS()
	defer tls.Close()
	r := &recorder{methods: map[uintptr]uintptr{}, files: map[uintptr]*file{}}
	sqlite3.Xsqlite3_initialize(tls)
	r.under = at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
	over := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*r.under)))
	vfs := at[sqlite3.Tsqlite3_vfs](over)
	*vfs = *r.under
	name, err := libc.CString("recorder")
	if err != nil {
		panic(err)
	}
	vfs.FzName, vfs.FxOpen, vfs.FxDelete = name, address[openFunc](r.open), address[deleteFunc](r.delete)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, over, 1); rc != sqlite3.SQLITE_OK {
		panic("SQLite takes no other access to files")
	}
	return r
}

// begin records what is done below the folder, from nothing.
func (r *recorder) begin(root string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.root, r.ops, r.known, r.heads = root, nil, map[string]bool{}, map[string]string{}
}

// end gives what was recorded.
func (r *recorder) end() []oplog.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.root = ""
	return r.ops
}

func (r *recorder) add(op oplog.Op) {
	if r.root != "" {
		r.look()
		r.ops = append(r.ops, op)
	}
}

// look writes down what was done to heads since the operation before. That they
// are synced in the end is left out: then they could only say more.
func (r *recorder) look() {
	entries, err := os.ReadDir(filepath.Join(r.root, "heads"))
	if err != nil {
		return
	}
	if !r.known["heads"] {
		r.known["heads"] = true
		r.ops = append(r.ops, oplog.Op{Kind: oplog.Mkdir, Path: "heads"}, oplog.Op{Kind: oplog.SyncDir, Path: "."})
	}
	for _, e := range entries {
		name := "heads/" + e.Name()
		b, err := os.ReadFile(filepath.Join(r.root, name))
		was, known := r.heads[name]
		if err != nil || known && was == string(b) {
			continue
		}
		if r.heads[name] = string(b); !known {
			r.ops = append(r.ops, oplog.Op{Kind: oplog.Create, Path: name})
		}
		r.ops = append(r.ops, oplog.Op{Kind: oplog.Write, Path: name, Data: b})
	}
}

func (r *recorder) ack(note string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(oplog.Op{Kind: oplog.Ack, Note: note})
}

// below is the name relative to the root, "" if it is not there.
func (r *recorder) below(name string) string {
	rel, err := filepath.Rel(r.root, name)
	if r.root == "" || err != nil || strings.HasPrefix(rel, "..") {
		return ""
	}
	return filepath.ToSlash(rel)
}

func (r *recorder) open(tls *libc.TLS, vfs, zName, handle uintptr, flags int32, out uintptr) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	there := false
	name := ""
	if zName != 0 {
		name = r.below(libc.GoString(zName))
		there = exists(libc.GoString(zName))
	}
	rc := call[openFunc](r.under.FxOpen)(tls, vfs, zName, handle, flags, out)
	if rc != sqlite3.SQLITE_OK || name == "" {
		return rc
	}
	own := *at[uintptr](handle)
	f := &file{name: name, own: at[sqlite3.Tsqlite3_io_methods](own)}
	// The journal makes the database's file itself, empty, before SQLite opens it.
	if (!there || !r.known[name]) && exists(filepath.Join(r.root, name)) {
		r.known[name] = true
		r.add(oplog.Op{Kind: oplog.Create, Path: name})
		const companions = sqlite3.SQLITE_OPEN_WAL | sqlite3.SQLITE_OPEN_MAIN_JOURNAL | sqlite3.SQLITE_OPEN_SUPER_JOURNAL
		f.syncsFolder = !there && flags&companions != 0
	}
	r.files[handle] = f
	if r.methods[own] == 0 {
		r.methods[own] = r.over(tls, f.own)
	}
	*at[uintptr](handle) = r.methods[own]
	return rc
}

// over are the methods with ours in front.
func (r *recorder) over(tls *libc.TLS, own *sqlite3.Tsqlite3_io_methods) uintptr {
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*own)))
	m := at[sqlite3.Tsqlite3_io_methods](p)
	*m = *own
	m.FxClose, m.FxWrite = address[closeFunc](r.close), address[writeFunc](r.write)
	m.FxTruncate, m.FxSync = address[truncateFunc](r.truncate), address[syncFunc](r.sync)
	return p
}

func (r *recorder) close(tls *libc.TLS, handle uintptr) int32 {
	r.mu.Lock()
	f := r.files[handle]
	delete(r.files, handle)
	r.mu.Unlock()
	return call[closeFunc](f.own.FxClose)(tls, handle)
}

func (r *recorder) write(tls *libc.TLS, handle, data uintptr, n int32, off int64) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.files[handle]
	rc := call[writeFunc](f.own.FxWrite)(tls, handle, data, n, off)
	r.add(oplog.Op{Kind: oplog.Write, Path: f.name, Off: off, Data: append([]byte{}, unsafe.Slice(at[byte](data), n)...)})
	return rc
}

func (r *recorder) truncate(tls *libc.TLS, handle uintptr, size int64) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.files[handle]
	rc := call[truncateFunc](f.own.FxTruncate)(tls, handle, size)
	r.add(oplog.Op{Kind: oplog.Truncate, Path: f.name, Off: size})
	return rc
}

func (r *recorder) sync(tls *libc.TLS, handle uintptr, flags int32) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.files[handle]
	rc := call[syncFunc](f.own.FxSync)(tls, handle, flags)
	r.add(oplog.Op{Kind: oplog.Sync, Path: f.name})
	if f.syncsFolder {
		r.add(oplog.Op{Kind: oplog.SyncDir, Path: "."})
		f.syncsFolder = false
	}
	return rc
}

func (r *recorder) delete(tls *libc.TLS, vfs, zName uintptr, syncFolder int32) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := r.below(libc.GoString(zName))
	rc := call[deleteFunc](r.under.FxDelete)(tls, vfs, zName, syncFolder)
	if rc == sqlite3.SQLITE_OK && name != "" {
		r.add(oplog.Op{Kind: oplog.Remove, Path: name})
		if syncFolder != 0 {
			r.add(oplog.Op{Kind: oplog.SyncDir, Path: "."})
		}
	}
	return rc
}
