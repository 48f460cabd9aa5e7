package dir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"filippo.io/age"

	"lockstep"
	"lockstep/repository"
	"lockstep/spill"
)

// An encrypted backup has NAME.tar.age in place of NAME.tar, and NAME.entries.age in place
// of the artifact's section of lockstep.json, which then has version 2. Both are files of
// age (https://age-encryption.org/v1). It has no metadata file, which would tell all names.
//
// What whoever writes a file reads back is opened with an identity that is made for that
// file, and forgotten: it is one recipient more, that nobody has the key of. So what is
// proven is what was put, though the orchestrator may have no identity that opens it.

const (
	sealedSuffix = tarSuffix + ".age"
	listSuffix   = ".entries.age"
	// sealedVersion is that of a lockstep.json whose artifacts are encrypted.
	sealedVersion = 2
)

// Encryption says for whom new backups are encrypted, and what opens those that are.
type Encryption struct {
	recipients   []age.Recipient
	identityFile string
}

// NewEncryption is for recipients as age prints them, age1…; without any new backups are
// not encrypted. The file, which may be "", has identities as age-keygen writes them. It
// is read when something is opened, not before.
func NewEncryption(recipients []string, identityFile string) (*Encryption, error) {
	e := &Encryption{identityFile: identityFile}
	if len(recipients) == 0 {
		return e, nil
	}
	var err error
	if e.recipients, err = age.ParseRecipients(strings.NewReader(strings.Join(recipients, "\n"))); err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "read the recipients of repository.encrypt", Err: err,
			Hint: "write them as age-keygen prints them: age1…",
		}
	}
	if _, err := e.sealing(); err != nil {
		return nil, err
	}
	return e, nil
}

// Encrypted has new backups encrypted and encrypted ones opened so. Backups that are not
// encrypted stay readable. It is called before anything else.
func (r *Repository) Encrypted(e *Encryption) *Repository {
	r.encryption = e
	return r
}

// Encrypts implements repository.Encrypting.
func (r *Repository) Encrypts() bool { return r.encryption != nil && len(r.encryption.recipients) > 0 }

// IsEncrypted implements repository.Encrypting.
func (r *Repository) IsEncrypted(_ context.Context, id lockstep.BackupID) (bool, error) {
	dir, err := r.folder(id)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	if s, err := dir.is(stateCommitted, stateForeign); err != nil || s == stateForeign {
		return false, err
	}
	h, err := dir.head()
	if err != nil {
		return false, r.reading(id, err)
	}
	return h.Version == sealedVersion, nil
}

// sealing is the encryption of one file.
type sealing struct {
	to   []age.Recipient
	back age.Identity
}

// sealing begins one, or gives nil where nothing is encrypted.
func (e *Encryption) sealing() (*sealing, error) {
	if e == nil || len(e.recipients) == 0 {
		return nil, nil
	}
	own, back, err := ephemeral(e.recipients[0])
	if err != nil {
		return nil, fmt.Errorf("make a key to read back with: %w", err)
	}
	s := &sealing{to: append([]age.Recipient{own}, e.recipients...), back: back}
	if _, err := age.Encrypt(io.Discard, s.to...); err != nil { // what cannot stand beside each other is refused
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: "read the recipients of repository.encrypt", Err: err, Hint: "use recipients of one kind"}
	}
	return s, nil
}

// ephemeral is an identity of the kind that may stand beside a recipient.
func ephemeral(beside age.Recipient) (age.Recipient, age.Identity, error) {
	if _, ok := beside.(*age.HybridRecipient); ok {
		i, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, nil, err
		}
		return i.Recipient(), i, nil
	}
	i, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	return i.Recipient(), i, nil
}

// writer encrypts what is written. Its Close does not close w.
func (s *sealing) writer(w io.Writer) (io.WriteCloser, error) {
	if s == nil {
		return plainWriter{w}, nil
	}
	return age.Encrypt(w, s.to...)
}

// reader gives what was written, of what is read back.
func (s *sealing) reader(r io.Reader) (io.Reader, error) {
	if s == nil {
		return r, nil
	}
	plain, err := age.Decrypt(r, s.back)
	if err != nil {
		return nil, fmt.Errorf("%w: what was encrypted cannot be opened again: %w", repository.ErrCorrupt, err)
	}
	return plain, nil
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

// sealed reports whether the artifact's files are encrypted.
func (rec record) sealed() bool { return rec.ListFile != "" }

// ofOneKind refuses artifacts of which some are encrypted.
func (h *head) ofOneKind() error {
	for _, rec := range h.Files {
		if rec.sealed() != h.Files[0].sealed() {
			return &lockstep.Error{
				Kind: lockstep.KindConflict, Op: fmt.Sprintf("commit backup %q", h.Manifest.ID),
				Err:  errors.New("its artifacts were staged partly before repository.encrypt was changed, and partly after: some are encrypted, some are not"),
				Hint: "back up again",
			}
		}
	}
	return nil
}

// size is how long the artifact's file is.
func (rec record) size() int64 {
	if rec.sealed() {
		return rec.Stored
	}
	return rec.Bytes
}

// named gives the names of files that a record must have.
func (rec record) named() bool {
	if rec.sealed() {
		return rec.File == rec.Name+sealedSuffix && rec.ListFile == rec.Name+listSuffix && rec.Stored > 0 && rec.ListStored > 0
	}
	return rec.File == rec.Name+tarSuffix && rec.Stored == 0 && rec.ListStored == 0
}

// sealList writes an artifact's entry list encrypted, and reads it back.
func sealList(ctx context.Context, dir *folder, file string, rec *record, list *spill.List, seal *sealing) error {
	f, err := dir.root.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	out := &checked{w: f}
	buffered := bufio.NewWriterSize(out, 64<<10)
	w, err := seal.writer(buffered)
	if err != nil {
		return err
	}
	if err := errors.Join(rec.section(w, list), w.Close(), buffered.Flush(), f.Sync()); err != nil {
		return err
	}
	rec.ListStored, rec.ListCRC32C = out.n, fmt.Sprintf("%08x", out.crc)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	plain, err := seal.reader(&guarded{ctx: ctx, file: f, want: rec.listFile()})
	if err != nil {
		return err
	}
	back, err := readSection(ctx, plain, *rec)
	if err == nil {
		err = atEnd(plain)
	}
	back.Close()
	return err
}

// listFile is what is recorded of the file with its entry list.
func (rec record) listFile() *stored { return &stored{rec.ListFile, rec.ListStored, rec.ListCRC32C} }

// sealedEntries reads the entry list of an encrypted artifact.
func (r *Repository) sealedEntries(ctx context.Context, f *folder, rec record) (*spill.List, error) {
	file, _, err := f.open(rec.ListFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", repository.ErrCorrupt, err)
	}
	defer file.Close()
	plain, err := r.unseal(&guarded{ctx: ctx, file: file, want: rec.listFile()})
	if err != nil {
		return nil, err
	}
	list, err := readSection(ctx, plain, rec)
	if err == nil {
		err = atEnd(plain)
	}
	if err != nil {
		list.Close()
		return nil, err
	}
	return list, nil
}

// checked counts what is written, and has its CRC-32C.
type checked struct {
	w   io.Writer
	n   int64
	crc uint32
}

// Write implements io.Writer.
func (c *checked) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.crc = crc32.Update(c.crc, castagnoli, p[:n])
	return n, err
}

// atEnd reads what must be the end, which is where age has checked all.
func atEnd(r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: an entry list is followed by %d bytes", repository.ErrCorrupt, n)
	}
	return err
}

// unseal opens what is encrypted in a file. in has what is stored, and closes it.
func (r *Repository) unseal(in *guarded) (io.ReadCloser, error) {
	identities, err := r.identities(in.want.file)
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(in, identities...)
	var none *age.NoIdentityMatchError
	switch {
	case err == nil:
		return &unsealed{plain, in}, nil
	case in.failed != nil:
		return nil, in.failed
	case !errors.As(err, &none):
		return nil, fmt.Errorf("%w: %s: %w", repository.ErrCorrupt, in.want.file, err)
	}
	// A bit that flipped in its first lines looks as if it were for somebody else.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return nil, err
	}
	return nil, &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "open " + in.want.file, Err: fmt.Errorf("it is encrypted, and no identity in %s opens it", r.encryption.identityFile),
		Hint: "name the file with the identity whose recipient it was encrypted for, as encrypt.identity_file of the repository",
	}
}

// identities reads those that are configured.
func (r *Repository) identities(file string) ([]age.Identity, error) {
	op := "open " + file
	if r.encryption == nil || r.encryption.identityFile == "" {
		return nil, &lockstep.Error{
			Kind: lockstep.KindRefused, Op: op, Err: errors.New("it is encrypted, and no identity is configured"),
			Hint: "name the file with the identity as encrypt.identity_file of the repository, or in LOCKSTEP_IDENTITY_FILE for one that is given by its location",
		}
	}
	f, err := os.Open(r.encryption.identityFile)
	if err != nil {
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: op, Err: fmt.Errorf("read its identity: %w", err), Hint: "look at encrypt.identity_file of the repository"}
	}
	defer f.Close()
	identities, err := age.ParseIdentities(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: op, Err: fmt.Errorf("read identities in %s: %w", r.encryption.identityFile, err),
			Hint: "it must be as age-keygen writes it; one with a passphrase has to be decrypted first: age -d",
		}
	}
	return identities, nil
}

// unsealed reads the content of an encrypted file. What age finds wrong is damage.
type unsealed struct {
	plain io.Reader
	in    *guarded
}

// Read implements io.Reader.
func (u *unsealed) Read(p []byte) (int, error) {
	n, err := u.plain.Read(p)
	switch {
	case err == nil || err == io.EOF:
	case u.in.failed != nil:
		err = u.in.failed
	default:
		err = fmt.Errorf("%w: %s: %w", repository.ErrCorrupt, u.in.want.file, err)
	}
	return n, err
}

// Close implements io.Closer.
func (u *unsealed) Close() error { return u.in.Close() }
