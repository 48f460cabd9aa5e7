package dir

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"lockstep"
	"lockstep/repository"
	"lockstep/spill"
)

// record is what lockstep.json says of one artifact's files.
type record struct {
	Name   string `json:"name"`
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	CRC32C string `json:"crc32c"`
	// Digest is that of the entry list.
	Digest string `json:"digest"`
	// ListBytes and ListSum are length and SHA-256 of the artifact's section
	// of lockstep.json.
	ListBytes int64  `json:"list_bytes"`
	ListSum   string `json:"list_sha256"`

	// Of an encrypted artifact: how long File is, and what CRC32C is of then; and the
	// file with what would be the section, of which ListBytes and ListSum are still.
	Stored     int64  `json:"stored_bytes,omitempty"`
	ListFile   string `json:"list_file,omitempty"`
	ListStored int64  `json:"list_stored_bytes,omitempty"`
	ListCRC32C string `json:"list_crc32c,omitempty"`
}

func newRecord(name string, in received) record {
	rec := record{Name: name, File: name + tarSuffix, Bytes: in.bytes, CRC32C: fmt.Sprintf("%08x", in.crc), Digest: in.entries.Digest()}
	if in.sealed {
		rec.File, rec.ListFile, rec.Stored = name+sealedSuffix, name+listSuffix, in.stored
	}
	return rec
}

// section writes the artifact's section and notes its length and SHA-256.
func (rec *record) section(w io.Writer, list *spill.List) error {
	s := &summer{w: w, sum: sha256.New()}
	err := writeSection(s, rec.Name, list)
	rec.ListBytes, rec.ListSum = s.n, hex.EncodeToString(s.sum.Sum(nil))
	return err
}

// stagedList is the file that makes an artifact a staged one: its section of
// the lockstep.json to come, unless that is encrypted, then, on a line of its own, its
// record.
func stagedList(name string) string { return "." + name + ".entries" }

const maxRecord = 4 << 10

// writeStaged writes and syncs a staged list under a temporary name.
func writeStaged(dir *folder, file string, rec record, list *spill.List) error {
	f, err := dir.root.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	if !rec.sealed() {
		err = rec.section(w, list)
	}
	line, jsonErr := json.Marshal(rec)
	_, writeErr := fmt.Fprintf(w, "\n%s\n", line)
	return errors.Join(err, jsonErr, writeErr, w.Flush(), f.Sync(), f.Close())
}

// readStaged gives the record of a staged artifact, and its list file opened
// at the section.
func readStaged(dir *folder, name string) (record, *os.File, error) {
	var rec record
	f, size, err := dir.open(stagedList(name))
	if err != nil {
		return rec, nil, err
	}
	tail := make([]byte, min(size, maxRecord))
	_, err = f.ReadAt(tail, size-int64(len(tail)))
	if err == nil {
		lines := bytes.Split(bytes.TrimSuffix(tail, []byte("\n")), []byte("\n"))
		err = json.Unmarshal(lines[len(lines)-1], &rec)
	}
	if err == nil && (rec.Name != name || !rec.named() || !rec.sealed() && rec.ListBytes > size) {
		err = fmt.Errorf("%w: %s is not of artifact %q", repository.ErrCorrupt, stagedList(name), name)
	}
	if err != nil {
		return rec, nil, errors.Join(err, f.Close())
	}
	return rec, f, nil
}

// writeSection writes an artifact's section of lockstep.json: a member of an
// object, one entry on each line.
func writeSection(w io.Writer, name string, list *spill.List) error {
	if _, err := fmt.Fprintf(w, "%q: [\n", name); err != nil {
		return err
	}
	end, i := []byte(",\n"), 0
	for e, err := range list.All() {
		if err != nil {
			return err
		}
		line, err := e.MarshalJSON()
		if err != nil {
			return err
		}
		if i++; i == list.Len() {
			end = []byte("\n")
		}
		if _, err := w.Write(append(line, end...)); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "]")
	return err
}

// readSection reads what writeSection wrote, to the end of r, and refuses
// anything that is not exactly what the record tells of.
func readSection(ctx context.Context, r io.Reader, rec record) (*spill.List, error) {
	sum := sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(io.LimitReader(r, rec.ListBytes), sum), 64<<10)
	entries := spill.NewBuilder(ctx, spill.Shared())
	defer entries.Close()
	if err := readEntries(in, rec.Name, entries); err != nil {
		return nil, listTrouble(ctx, rec.Name, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != rec.ListSum {
		return nil, fmt.Errorf("%w: entry list of artifact %q: its SHA-256 is not %s", repository.ErrCorrupt, rec.Name, rec.ListSum)
	}
	list, err := entries.List()
	if err != nil {
		return nil, listTrouble(ctx, rec.Name, err)
	}
	if list.Digest() != rec.Digest {
		list.Close()
		return nil, fmt.Errorf("%w: entry list of artifact %q: its digest is not %s", repository.ErrCorrupt, rec.Name, rec.Digest)
	}
	return list, nil
}

// listTrouble is an error of reading an entry list: damage, unless it was given up
// or the list could not be kept here.
func listTrouble(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil || errors.Is(err, spill.ErrSpill) {
		return err
	}
	return fmt.Errorf("%w: entry list of artifact %q: %w", repository.ErrCorrupt, name, err)
}

func readEntries(in *bufio.Reader, name string, entries *spill.Builder) error {
	first, err := in.ReadString('\n')
	if err != nil || first != fmt.Sprintf("%q: [\n", name) {
		return errors.New("it does not begin with the artifact's name")
	}
	for n := 0; ; n++ {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && string(line) == "]" {
			return nil
		}
		if err != nil {
			return errors.New("it does not end")
		}
		if n == repository.MaxEntries {
			return fmt.Errorf("it has more than %d entries", repository.MaxEntries)
		}
		var e lockstep.Entry
		if err := e.UnmarshalJSON(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte(","))); err != nil {
			return err
		}
		if err := entries.Add(e); err != nil {
			return err
		}
	}
}

// summer passes on what is written and counts and digests it.
type summer struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (s *summer) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum.Write(p[:n])
	s.n += int64(n)
	return n, err
}
