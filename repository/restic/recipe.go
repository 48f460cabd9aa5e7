package restic

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"lockstep/repository"
	"lockstep/repository/restic/format"
)

// A recipe says how the tar stream of an artifact is made again, byte for byte:
// after a line that names its version come steps, each a number n in the
// variable-length form of encoding/binary. If its lowest bit is 0, n/2 bytes of
// the stream follow: headers, padding, the end, and all of a sparse file. If it
// is 1, the ID of a data blob follows, whose n/2 bytes come next in the stream.
const recipeVersion = "lockstep recipe 1\n"

const (
	// literalMax is how many bytes of the stream one step has at most.
	literalMax = 64 << 10
	// A blob that another program cut may be longer than our own.
	blobMax = 64 << 20
)

// recipeWriter writes a recipe.
type recipeWriter struct {
	w   io.Writer
	buf []byte
}

func newRecipe(w io.Writer) (*recipeWriter, error) {
	_, err := io.WriteString(w, recipeVersion)
	return &recipeWriter{w: w}, err
}

// literal adds bytes of the stream, at most literalMax.
func (r *recipeWriter) literal(b []byte) error {
	r.buf = append(binary.AppendUvarint(r.buf[:0], uint64(len(b))<<1), b...)
	_, err := r.w.Write(r.buf)
	return err
}

// blob adds the content of a data blob.
func (r *recipeWriter) blob(id format.ID, size int) error {
	r.buf = append(binary.AppendUvarint(r.buf[:0], uint64(size)<<1|1), id[:]...)
	_, err := r.w.Write(r.buf)
	return err
}

// step is one of a recipe: literal bytes, or a blob of that size.
type step struct {
	literal []byte
	id      format.ID
	size    int
}

// recipeReader reads a recipe.
type recipeReader struct{ in *bufio.Reader }

func readRecipe(in io.Reader) (*recipeReader, error) {
	r := &recipeReader{bufio.NewReaderSize(in, 64<<10)}
	first, err := r.in.ReadString('\n')
	if err != nil && err != io.EOF {
		return nil, err
	}
	if first != recipeVersion {
		return nil, fmt.Errorf("%w: the recipe begins with %.40q, not %q", repository.ErrCorrupt, first, recipeVersion)
	}
	return r, nil
}

// next is the next step, or io.EOF.
func (r *recipeReader) next() (step, error) {
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return step{}, err // io.EOF only before the first byte
	}
	s := step{size: int(n >> 1)}
	isBlob := n&1 == 1
	if n>>1 > blobMax || !isBlob && n>>1 > literalMax {
		return s, fmt.Errorf("%w: the recipe has a step of %d bytes", repository.ErrCorrupt, n>>1)
	}
	if isBlob {
		_, err = io.ReadFull(r.in, s.id[:])
	} else {
		s.literal = make([]byte, s.size)
		_, err = io.ReadFull(r.in, s.literal)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return s, err
}
