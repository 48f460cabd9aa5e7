package restic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
	"lockstep/spill"
)

// putMemory bounds the content that all Puts together have read and not yet
// saved, in bytes. Beside it each has maxPiece, and the vault its packs.
const putMemory = 40 << 20

// ahead is how many pieces of a Put may be on their way.
const ahead = 64

// Put implements repository.Repository. Three things go on at once: the stream
// is cut into pieces, the pieces are saved, and the stream is made again of the
// pieces and read as a tar: what Put returns is derived from that. A piece that is
// stored is opened again and hashed before it counts. One that the repository has
// already is not read: it counts while its pack is there, of the right length, and
// nobody has told that it did not open (vault.Session.Save).
func (r *Repository) Put(ctx context.Context, id lockstep.BackupID, name string, in io.Reader) (repository.Content, error) {
	var none repository.Content
	op := fmt.Sprintf("put artifact %q into backup", name)
	if err := lockstep.CheckName("artifact", name); err != nil {
		return none, err
	}
	if repository.CheckID(id) != nil {
		return none, notFound(id)
	}
	v, err := r.Vault(ctx)
	if err != nil {
		return none, trouble(op, id, err)
	}
	if err := r.staging(ctx, v, fmt.Sprintf("put artifact %q", name), id); err != nil {
		return none, err
	}
	release, err := v.Use(ctx)
	if err != nil {
		return none, trouble(op, id, err)
	}
	defer release()
	content, tree, err := r.receive(ctx, v, name, in)
	if err == nil {
		faultpoint.Hit("restic.put.before")
		err = r.stage(ctx, v, id, name, tree)
	}
	return content, trouble(op, id, err)
}

// receive saves an artifact and gives the tree of its snapshot.
func (r *Repository) receive(ctx context.Context, v *vault.Vault, name string, in io.Reader) (repository.Content, format.ID, error) {
	var none repository.Content
	c, err := newCutter(v.ChunkKey())
	if err != nil {
		return none, format.ID{}, err
	}
	session := v.Session()
	t := r.newTransfer(ctx, session, spill.Shared())
	defer t.end()
	recipe := &contentWriter{ctx: t.ctx, session: session, cutter: c}
	entries, bytes, files, err := t.run(in, c, recipe)
	if err != nil {
		return none, format.ID{}, err
	}
	defer entries.Close()
	defer files.links.Close()
	content := repository.ContentOf(bytes, entries)
	a := artifactTree{name: name, content: content, entries: entries, files: files, recipe: recipe, session: session, cutter: c}
	root, err := a.save(ctx)
	if err == nil {
		err = session.Flush(ctx)
	}
	return content, root, err
}

// transfer is one Put's stream on its way.
type transfer struct {
	repository *Repository
	session    *vault.Session
	ctx        context.Context
	stop       context.CancelCauseFunc
	links      *spill.Builder
	queue      chan *piece // in order
	jobs       chan *piece // those that are to be saved
}

// newTransfer begins one, whose symbolic links are listed in memory of that pool.
func (r *Repository) newTransfer(ctx context.Context, session *vault.Session, pool *spill.Pool) *transfer {
	t := &transfer{repository: r, session: session, queue: make(chan *piece, ahead), jobs: make(chan *piece, ahead)}
	t.ctx, t.stop = context.WithCancelCause(ctx)
	t.links = spill.NewBuilder(t.ctx, pool)
	return t
}

func (t *transfer) end() {
	t.stop(nil)
	t.links.Close()
}

// savers is how many pieces of one Put are saved at once.
const savers = 4

// run moves the stream and returns when nothing of it moves any more.
func (t *transfer) run(in io.Reader, c *cutter, recipe *contentWriter) (entries *spill.List, n int64, files fileContents, err error) {
	rebuilt, err := newRebuilt(t, recipe)
	if err != nil {
		return nil, 0, files, err
	}
	var saving, reading sync.WaitGroup
	for range savers {
		saving.Go(t.save)
	}
	var readErr error
	reading.Go(func() {
		entries, n, readErr = repository.ReadTar(t.ctx, rebuilt)
		if readErr != nil {
			t.stop(readErr)
		}
	})
	s := newSplitter(t.ctx, in, c, t.links, t.emit)
	splitErr := s.run()
	rebuilt.failed = errors.Join(s.src.failed(), context.Cause(t.ctx))
	if rebuilt.failed == nil && errors.Is(splitErr, spill.ErrSpill) {
		rebuilt.failed = splitErr
	}
	close(t.jobs)
	close(t.queue)
	saving.Wait()
	reading.Wait()
	t.drain()
	err = cmp.Or(readErr, splitErr)
	if err == nil && n != s.src.n {
		err = fmt.Errorf("%w: %d bytes came in and %d can be given back", repository.ErrCorrupt, s.src.n, n)
	}
	var links *spill.List
	if err == nil {
		links, err = s.links.List()
	}
	if err != nil {
		entries.Close()
		return nil, 0, files, err
	}
	return entries, n, fileContents{rebuilt.several, s.owners, links}, nil
}

// emit hands a piece on, once there is memory for it.
func (t *transfer) emit(p *piece) error {
	if err := t.repository.memory.Acquire(t.ctx, p.memory()); err != nil {
		return context.Cause(t.ctx)
	}
	select {
	case t.queue <- p:
	case <-t.ctx.Done():
		t.free(p)
		return context.Cause(t.ctx)
	}
	if p.saved != nil {
		t.jobs <- p // has a saver until it is closed
	}
	return nil
}

func (p *piece) memory() int64 { return int64(len(p.data) + len(p.literal)) }

// free gives a piece's memory back.
func (t *transfer) free(p *piece) {
	t.repository.memory.Release(p.memory())
	if data := p.data; len(data) > minPiece {
		pieces.Put(&data)
	}
	p.data, p.literal = nil, nil
}

// drain frees what nobody took.
func (t *transfer) drain() {
	for p := range t.queue {
		t.free(p)
	}
}

// save saves pieces until there are no more.
func (t *transfer) save() {
	for p := range t.jobs {
		if p.err = context.Cause(t.ctx); p.err == nil {
			p.id, p.err = t.session.Save(t.ctx, format.Data, p.data)
		}
		if p.err != nil {
			t.stop(p.err)
		}
		close(p.saved)
	}
}

// fileContents is what an artifact's files are made of.
type fileContents struct {
	// several are the blobs of files that have more than one: the one of any
	// other file has the SHA-256 of its content.
	several map[string][]format.ID
	owners
	links *spill.List // the symbolic links, as files with their times
}

// rebuilt is the stream, made of pieces that are saved. Reading it writes the
// recipe.
type rebuilt struct {
	t       *transfer
	recipe  *recipeWriter
	several map[string][]format.ID
	now     *piece
	left    []byte
	failed  error // how the stream failed; set before the queue is closed
}

func newRebuilt(t *transfer, recipe io.Writer) (*rebuilt, error) {
	w, err := newRecipe(recipe)
	return &rebuilt{t: t, recipe: w, several: map[string][]format.ID{}}, err
}

// Read implements io.Reader.
func (b *rebuilt) Read(p []byte) (int, error) {
	for len(b.left) == 0 {
		if b.now != nil {
			b.t.free(b.now)
			b.now = nil
		}
		next, ok := <-b.t.queue
		if !ok {
			if b.failed != nil {
				return 0, b.failed
			}
			return 0, io.EOF
		}
		b.now = next
		if err := b.take(next); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

// take waits until a piece is saved and notes where it belongs.
func (b *rebuilt) take(p *piece) error {
	if p.saved == nil {
		b.left = p.literal
		return b.recipe.literal(p.literal)
	}
	<-p.saved
	if p.err != nil {
		return p.err
	}
	if !p.only {
		b.several[p.path] = append(b.several[p.path], p.id)
	}
	if p.aside {
		return nil
	}
	b.left = p.data
	return b.recipe.blob(p.id, len(p.data))
}

// stage makes a saved artifact the staged one of that name.
func (r *Repository) stage(ctx context.Context, v *vault.Vault, id lockstep.BackupID, name string, tree format.ID) error {
	r.stages.Lock()
	defer r.stages.Unlock()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	before, err := r.stagedOf(ctx, v, id)
	if err != nil {
		return err
	}
	if err := v.StageSnapshot(ctx, newSnapshot(tree, "/"+name, "", tagStaged, tagID+string(id), tagArtifact+name)); err != nil {
		return err
	}
	for _, old := range before {
		if old.tagged(tagArtifact) == name {
			err = errors.Join(err, v.HideSnapshot(ctx, old.id))
		}
	}
	return err
}
