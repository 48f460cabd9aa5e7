package helper_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"lockstep/helper"
	"lockstep/helper/helpertest"
)

// slowLink is a reader, or a writer, that takes a while for each MiB.
type slowLink struct {
	io.Reader
	got bytes.Buffer
	n   int
}

func (s *slowLink) wait(n int) {
	s.n += n
	if s.n > 1<<20 {
		s.n = 0
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *slowLink) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.wait(n)
	return n, err
}

func (s *slowLink) Write(p []byte) (int, error) {
	s.wait(len(p))
	return s.got.Write(p)
}

// mixed is text, and then bytes that do not get smaller.
func mixed() []byte {
	b := bytes.Repeat([]byte("a line of a log that is like the one before it\n"), 40<<20/47)
	noise := make([]byte, 24<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	return append(b, noise...)
}

// What a slow link carries is compressed on its way, and arrives as it was; both ways.
func TestASlowLinkIsCompressed(t *testing.T) {
	t.Parallel()
	file, from, to, content := helpertest.File(t), t.TempDir(), t.TempDir(), mixed()
	if err := os.WriteFile(filepath.Join(from, "f"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	out := &slowLink{}
	c := exec.Command(file, "pack")
	c.Dir, c.Stdout = from, out
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	s := heard(t, out.got.Bytes())
	if s.packed == 0 || !s.whole || out.got.Len() > len(content)-(20<<20) {
		t.Errorf("packed: %d frames compressed, %d MiB in all, whole: %t", s.packed, out.got.Len()>>20, s.whole)
	}
	framed := &slowLink{Reader: helper.NewFramed(bytes.NewReader(s.archive))}
	sent := &counted{Reader: framed}
	c = exec.Command(file, "place")
	c.Dir, c.Stdin = to, sent
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("place: %v, %.200q", err, said)
	}
	if sent.n > len(content)-(20<<20) {
		t.Errorf("placed: %d MiB were sent", sent.n>>20)
	}
	got, err := os.ReadFile(filepath.Join(to, "f"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("it arrived otherwise: %d bytes, %v", len(got), err)
	}
}

// frame is one of that kind.
func frame(kind byte, p []byte) string {
	return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(len(p)))) + string(p)
}

// compressed is what a helper, or one that is not ours, may have made of p.
func compressed(t *testing.T, p []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	ok(t, err)
	return w.EncodeAll(p, nil)
}

type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// What breaks off, or is not a frame, is an error and never an end.
func TestPlaceOfBrokenFrames(t *testing.T) {
	t.Parallel()
	archive := append(made(t, tar.Header{Typeflag: tar.TypeReg, Name: "./f"}), make([]byte, 10<<10)...)
	whole := framed(t, archive)
	for name, in := range map[string]string{
		"no frames":             string(archive),
		"cut in its head":       string(whole) + "a\x00",
		"cut in a frame":        string(whole[:len(whole)-1]),
		"an empty frame":        string(whole) + "a\x00\x00\x00\x00",
		"a frame too long":      string(whole) + "a\x7f\x00\x00\x00",
		"not compressed":        string(whole) + "z\x00\x00\x00\x04abcd",
		"compressed, and cut":   string(whole) + "z\x00\x00\x00\x04ab",
		"another kind":          string(whole) + "l\x00\x00\x00\x01a",
		"it unpacks to more":    string(whole) + frame('z', compressed(t, make([]byte, helper.MaxFrame+1))),
		"it unpacks to nothing": string(whole) + frame('z', compressed(t, nil)),
	} {
		c := exec.Command(helpertest.File(t), "place")
		c.Dir, c.Stdin = t.TempDir(), strings.NewReader(in)
		var exit *exec.ExitError
		if out, err := c.Output(); !errors.As(err, &exit) || exit.ExitCode() != helper.ExitFailed {
			t.Errorf("%s: %v, %.80q", name, err, out)
		}
	}
}
