package format

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"lockstep/repository"
)

// What a folder has is one blob, however much that is. So that a folder of very many
// files is never in memory as a whole, a large blob is sealed while it is made, and
// opened while it is read.

// Stream seals one blob that is written to it. Its sealed bytes go to a writer.
type Stream struct {
	sum   hash.Hash
	plain int64
	zip   *zstd.Encoder
	body  *bufio.Writer
	size  int64 // of what was sealed until now
}

// streamBuffer is how much of a stream is in memory on its way.
const streamBuffer = 64 << 10

// NewStream begins a blob whose sealed bytes go to out: all but the last, which
// authenticate the others.
func (k *Key) NewStream(out io.Writer) (*Stream, error) {
	var iv [ivSize]byte
	_, _ = rand.Read(iv[:]) // never fails since Go 1.24
	if _, err := out.Write(iv[:]); err != nil {
		return nil, err
	}
	s := &Stream{sum: sha256.New(), size: ivSize}
	sealed := cipher.StreamWriter{S: cipher.NewCTR(k.block, iv[:]), W: &counting{out, &s.size}}
	s.body = bufio.NewWriterSize(sealed, streamBuffer)
	var err error
	s.zip, err = zstd.NewWriter(s.body, append(compression(), zstd.WithEncoderConcurrency(1))...)
	return s, err
}

// counting counts what is written.
type counting struct {
	out io.Writer
	n   *int64
}

// Write implements io.Writer.
func (c *counting) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	*c.n += int64(n)
	return n, err
}

// Write implements io.Writer.
func (s *Stream) Write(p []byte) (int, error) {
	if s.plain += int64(len(p)); s.plain > maxUnpacked {
		return 0, fmt.Errorf("what a folder has takes more than %d MiB, which is more than a blob may have", maxUnpacked>>20)
	}
	s.sum.Write(p)
	return s.zip.Write(p)
}

// End gives the blob, as far as it is known: its place is the caller's to say. What
// was sealed is complete with the tag that Authenticate appends.
func (s *Stream) End(kind Kind) (Blob, error) {
	if err := errors.Join(s.zip.Close(), s.body.Flush()); err != nil {
		return Blob{}, err
	}
	if s.size+macSize > MaxPack {
		return Blob{}, fmt.Errorf("a blob of %d bytes is longer than a pack may be", s.size)
	}
	return Blob{ID: ID(s.sum.Sum(nil)), Kind: kind, Length: uint32(s.size + macSize), Plain: uint32(s.plain)}, nil
}

// Authenticate appends to what a Stream has sealed what makes it open.
func (k *Key) Authenticate(sealed []byte) []byte {
	tag := k.tag(sealed[:ivSize], sealed[ivSize:])
	return append(sealed, tag[:]...)
}

// Prove is Open of a blob whose content is not wanted, in little memory.
func (b Blob) Prove(k *Key, sealed []byte) error {
	sum := sha256.New()
	in, err := b.reader(k, sealed)
	if err == nil {
		defer in.Close()
		var n int64
		if n, err = io.Copy(sum, in); err == nil && n != int64(b.Size()) {
			err = fmt.Errorf("%w: it decompresses to %d bytes instead of %d", repository.ErrCorrupt, n, b.Size())
		}
	}
	if err == nil && ID(sum.Sum(nil)) != b.ID {
		err = fmt.Errorf("%w: it has other content", repository.ErrCorrupt)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b.Handle(), err)
	}
	return nil
}

// reader gives the content of sealed bytes that were sealed with the key. It is proven
// to be the blob's by nobody.
func (b Blob) reader(k *Key, sealed []byte) (io.ReadCloser, error) {
	body, stream, err := k.authentic(sealed)
	if err != nil {
		return nil, err
	}
	plain := cipher.StreamReader{S: stream, R: bytes.NewReader(body)}
	if b.Plain == 0 {
		return io.NopCloser(plain), nil
	}
	zip, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return unzipping{zip}, nil
}

// maxWindow is as far back as compressed content may refer: far more than anybody's does,
// and less than would fill a machine.
const maxWindow = 128 << 20

// unzipping says of what cannot be decompressed that it is damaged.
type unzipping struct{ in *zstd.Decoder }

// Read implements io.Reader.
func (u unzipping) Read(p []byte) (int, error) {
	n, err := u.in.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: decompress: %w", repository.ErrCorrupt, err)
	}
	return n, err
}

// Close implements io.Closer.
func (u unzipping) Close() error {
	u.in.Close()
	return nil
}

// authentic is the body of what was sealed with this key, and what decrypts it.
func (k *Key) authentic(sealed []byte) (body []byte, stream cipher.Stream, err error) {
	if len(sealed) < Overhead {
		return nil, nil, fmt.Errorf("%w: it has %d bytes", errUnauthentic, len(sealed))
	}
	iv, body := sealed[:ivSize], sealed[ivSize:len(sealed)-macSize]
	tag := k.tag(iv, body)
	if !hmac.Equal(tag[:], sealed[len(sealed)-macSize:]) {
		return nil, nil, errUnauthentic
	}
	return body, cipher.NewCTR(k.block, iv), nil
}

// Nodes gives the nodes of a tree that Prove has found to be whole, one after the
// other. The error of use ends it.
func (b Blob) Nodes(k *Key, sealed []byte, use func(Node) error) error {
	in, err := b.reader(k, sealed)
	if err != nil {
		return fmt.Errorf("%s: %w", b.Handle(), err)
	}
	defer in.Close()
	return readNodes(bufio.NewReaderSize(in, streamBuffer), use)
}

// readNodes is ParseTree of a stream.
func readNodes(in io.Reader, use func(Node) error) error {
	d := json.NewDecoder(in)
	if err := next(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return noTree(err)
		}
		if key != "nodes" {
			var unknown json.RawMessage
			err = noTree(d.Decode(&unknown))
		} else {
			err = eachNode(d, use)
		}
		if err != nil {
			return err
		}
	}
	if err := next(d, json.Delim('}')); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return noTree(fmt.Errorf("more follows it: %w", err))
	}
	return nil
}

func eachNode(d *json.Decoder, use func(Node) error) error {
	if err := next(d, json.Delim('[')); err != nil {
		return err
	}
	for d.More() {
		var n Node
		if err := d.Decode(&n); err != nil {
			return noTree(err)
		}
		if err := use(n); err != nil {
			return err
		}
	}
	return next(d, json.Delim(']'))
}

// next takes a token that has to come.
func next(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v in place of %v", got, want)
	}
	return noTree(err)
}

func noTree(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: tree: %w", repository.ErrCorrupt, err)
}
