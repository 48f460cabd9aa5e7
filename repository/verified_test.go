package repository_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/mem"
	"lockstep/repository/repositorytest"
)

// changed gives other bytes for an artifact than were put.
type changed struct {
	repository.Repository
	data []byte
}

func (c changed) Open(context.Context, lockstep.BackupID, string) (io.ReadCloser, error) {
	return io.NopCloser(iotest.HalfReader(bytes.NewReader(c.data))), nil
}

func kept(t *testing.T, data []byte) (repository.Repository, lockstep.BackupID, lockstep.Artifact) {
	t.Helper()
	r := mem.New()
	id := repositorytest.Begin(t, r, "shop_1")
	a := repositorytest.Put(t, r, id, "db-0-pg", data)
	repositorytest.Commit(t, r, repositorytest.Manifest(id, a))
	return r, id, a
}

func TestVerifiedIsWhatWasPut(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{repositorytest.Tar(t), repositorytest.Sample(t, "x"), large(t)} {
		r, id, a := kept(t, data)
		stream, err := repository.Verified(t.Context(), r, id, a)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(stream)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes instead of %d, %v", len(got), len(data), err)
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestVerifiedEndsWellOnlyWhenAllIsAsRecorded: whichever byte is another one,
// reading ends with an error, and never with io.EOF.
//
//fault:40 any byte of an artifact is another one while it is restored | the restore fails before anything is locked
func TestVerifiedEndsWellOnlyWhenAllIsAsRecorded(t *testing.T) {
	t.Parallel()
	data := repositorytest.Tar(t, repositorytest.Member{Name: ""}, repositorytest.Member{Name: "f", Content: "content"},
		repositorytest.Member{Name: "also", HardLink: "f"}, repositorytest.Member{Name: "link", SymLink: "f"})
	r, id, a := kept(t, data)
	read := func(data []byte) error {
		stream, err := repository.Verified(t.Context(), changed{r, data}, id, a)
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = io.Copy(io.Discard, stream)
		return err
	}
	if err := read(data); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(data); i += 3 {
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		content, _, err := repository.ReadTar(t.Context(), bytes.NewReader(bad))
		if err == nil && content.Digest() == a.Digest {
			continue // a byte that means nothing, such as in the padding
		}
		if err := read(bad); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for _, n := range []int{0, 1, 512, len(data) / 2, len(data) - 1} {
		if err := read(data[:n]); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// TestVerifiedKeepsBackWhatIsNotRecorded: a member that the backup did not
// record is never given to anybody, wherever it stands.
//
//fault:56 a member that the backup did not record | it is never given to an instance
func TestVerifiedKeepsBackWhatIsNotRecorded(t *testing.T) {
	t.Parallel()
	good := []tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./f", Typeflag: tar.TypeReg, Mode: 0o644, Size: 100 << 10},
		{Name: "./l", Typeflag: tar.TypeSymlink, Linkname: "f"},
		{Name: "./h", Typeflag: tar.TypeLink, Linkname: "./f"},
		{Name: "./d", Typeflag: tar.TypeDir, Mode: 0o755},
	}
	r, id, a := kept(t, archive(t, good))
	for name, evil := range map[string]tar.Header{
		"another file":           {Name: "./evil", Typeflag: tar.TypeReg, Mode: 0o644},
		"below a link":           {Name: "./l/evil", Typeflag: tar.TypeReg, Mode: 0o644},
		"a way out":              {Name: "./../evil", Typeflag: tar.TypeReg, Mode: 0o644},
		"an absolute path":       {Name: "/evil", Typeflag: tar.TypeReg, Mode: 0o644},
		"a link that leads away": {Name: "./l", Typeflag: tar.TypeSymlink, Linkname: "/evil"},
		"a hard link out":        {Name: "./h", Typeflag: tar.TypeLink, Linkname: "/evil"},
		"a link for a file":      {Name: "./f", Typeflag: tar.TypeSymlink, Linkname: "evil"},
		"a link for a folder":    {Name: "./d", Typeflag: tar.TypeSymlink, Linkname: "evil"},
		"a device":               {Name: "./f", Typeflag: tar.TypeBlock, Linkname: "evil"},
	} {
		for at := range len(good) + 1 {
			members := append(append(append([]tar.Header{}, good[:at]...), evil), good[at:]...)
			stream, err := repository.Verified(t.Context(), changed{r, archive(t, members)}, id, a)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(stream)
			if err == nil || bytes.Contains(got, []byte("evil")) {
				t.Errorf("%s at %d: %v", name, at, err)
			}
			if !errors.Is(err, repository.ErrCorrupt) {
				t.Errorf("%s at %d: %v", name, at, err)
			}
			_ = stream.Close()
		}
	}
}

func TestVerifiedRefusesWhatHasNoDigest(t *testing.T) {
	t.Parallel()
	r, id, a := kept(t, repositorytest.Sample(t, "x"))
	a.Digest = ""
	if _, err := repository.Verified(t.Context(), r, id, a); err == nil || !strings.Contains(err.Error(), "no digest") {
		t.Error(err)
	}
}

// TestVerifiedCanBeLeft: whoever stops reading leaves nothing running.
func TestVerifiedCanBeLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, id, a := kept(t, large(t))
		stream, err := repository.Verified(t.Context(), r, id, a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Read(make([]byte, 10)); err != nil {
			t.Error(err)
		}
		synctest.Wait() // it has gone on as far as it may
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	})
}

// large is an archive that is larger than all that is read ahead.
func large(t *testing.T) []byte {
	t.Helper()
	return archive(t, []tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./f", Typeflag: tar.TypeReg, Mode: 0o644, Size: 3 << 20},
	})
}

func archive(t *testing.T, members []tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range members {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, zeros{}, h.Size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestVerifiedKeepsBackHeaders: a member that has more to its header than one
// block is not given before all of it was read, however few bytes come at once.
func TestVerifiedKeepsBackHeaders(t *testing.T) {
	t.Parallel()
	good := archive(t, []tar.Header{{Name: "./f", Typeflag: tar.TypeReg, Mode: 0o644}})
	evil := marked(t, tar.Header{Name: "./f", Typeflag: tar.TypeReg, Mode: 0o644, Size: 512, PAXRecords: map[string]string{
		"___.sparse.major": "1", "___.sparse.minor": "0", "___.sparse.name": "./evil", "___.sparse.realsize": "0",
	}}, "1\n0\n0\n")
	r, id, a := kept(t, good)
	stream, err := repository.Verified(t.Context(), byByte{changed{r, evil}}, id, a)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if got, err := io.ReadAll(stream); !errors.Is(err, repository.ErrCorrupt) || len(got) > 0 {
		t.Errorf("%d bytes of it were given: %v", len(got), err)
	}
}

type byByte struct{ changed }

func (b byByte) Open(context.Context, lockstep.BackupID, string) (io.ReadCloser, error) {
	return io.NopCloser(iotest.OneByteReader(bytes.NewReader(b.data))), nil
}

// TestReadTarRefusesWhatGNUTarReadsOtherwise: what it would unpack is not what
// we would call proven.
func TestReadTarRefusesWhatGNUTarReadsOtherwise(t *testing.T) {
	t.Parallel()
	plain := tar.Header{Name: "./f", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX}
	named := func(name string, format tar.Format) []byte {
		return archive(t, []tar.Header{{Name: "./" + strings.Repeat(name, 200), Typeflag: tar.TypeReg, Format: format}})
	}
	long := append(named("e", tar.FormatPAX)[:1024], named("f", tar.FormatGNU)...)
	for name, data := range map[string][]byte{
		"a sparse file's name":      marked(t, tar.Header{Name: "./f", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"___.sparse.name": "./evil"}}, ""),
		"a sparse file's size":      marked(t, tar.Header{Name: "./f", Typeflag: tar.TypeReg, Size: 512, PAXRecords: map[string]string{"___.sparse.size": "0"}}, "evil"),
		"a pax name and a long one": long,
	} {
		if _, _, err := repository.ReadTar(t.Context(), bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "different readers") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := repository.ReadTar(t.Context(), bytes.NewReader(archive(t, []tar.Header{plain}))); err != nil {
		t.Error(err)
	}
}

// marked is an archive of one member, with marks that tar.Writer refuses to
// write: its pax records that begin with "___." begin with "GNU." instead.
func marked(t *testing.T, h tar.Header, content string) []byte {
	t.Helper()
	data := archive(t, []tar.Header{h})
	copy(data[bytes.Index(data, []byte("./f\x00"))+512:], content)
	return bytes.ReplaceAll(data, []byte("___."), []byte("GNU."))
}
