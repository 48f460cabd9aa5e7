package launcher

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"lockstep/helper"
)

func helperFrame(kind byte, p string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(p)))) + p
}

const (
	helperEntry = "f 644 0 0 1.5 0 1 2 1\x00a\x00\x00e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\x00"
	helperEnd   = "end\x00"
)

// takeOutput takes apart what a helper said, in pieces of n bytes.
func takeOutput(t testing.TB, said string, n int, archive *bytes.Buffer) (items int, err error) {
	t.Helper()
	var list bytes.Buffer
	o := &helperOutput{list: &list}
	if archive != nil {
		o.archive = archive
	}
	for rest := []byte(said); len(rest) > 0; {
		piece := rest[:min(n, len(rest))]
		if _, err := o.Write(piece); err != nil {
			return 0, err
		}
		rest = rest[len(piece):]
	}
	if err := o.whole(); err != nil {
		return 0, err
	}
	g := gather(t.Context())
	defer g.close()
	if err := g.takeHelped(&list); err != nil {
		return 0, err
	}
	err = g.each(func(Item) { items++ })
	return items, err
}

// TestHelperOutputIsNotBelieved: what an instance says in its helper's name is bounded
// and whole, or refused.
func TestHelperOutputIsNotBelieved(t *testing.T) {
	t.Parallel()
	good := helper.Magic + helperFrame('l', helperEntry) + helperFrame('a', "tar") + helperFrame('l', helperEnd) + helperFrame('x', "")
	for _, n := range []int{1, 2, 7, len(good)} {
		var archive bytes.Buffer
		if items, err := takeOutput(t, good, n, &archive); err != nil || items != 1 || archive.String() != "tar" {
			t.Fatalf("in pieces of %d: %d, %q, %v", n, items, archive.String(), err)
		}
	}
	packed := strings.Replace(good, helperFrame('a', "tar"), helperFrame('z', zipped(helper.MaxFrame)), 1)
	for _, n := range []int{1, 11, len(packed)} {
		var archive bytes.Buffer
		if items, err := takeOutput(t, packed, n, &archive); err != nil || items != 1 || !bytes.Equal(archive.Bytes(), make([]byte, helper.MaxFrame)) {
			t.Fatalf("compressed, in pieces of %d: %d, %d bytes, %v", n, items, archive.Len(), err)
		}
	}
	if _, err := takeOutput(t, good, 10, nil); !errors.Is(err, errFrame) {
		t.Errorf("an archive that nobody asked for: %v", err)
	}
	list := func(text string) string { return helper.Magic + helperFrame('l', text) + helperFrame('x', "") }
	for name, said := range map[string]string{
		"nothing":             "",
		"another language":    "lockstep-helper 1\n" + good[len(helper.Magic):],
		"no end":              strings.TrimSuffix(good, helperFrame('x', "")),
		"half an end":         good[:len(good)-2],
		"more behind its end": good + "y",
		"an unknown frame":    helper.Magic + helperFrame('y', "a"),
		"an empty frame":      helper.Magic + helperFrame('l', ""),
		"a frame too long":    helper.Magic + "l\x7f\xff\xff\xff",
		"not compressed":      helper.Magic + helperFrame('z', "abcd") + good[len(helper.Magic):],
		"it unpacks to more":  helper.Magic + helperFrame('z', zipped(helper.MaxFrame+1)) + good[len(helper.Magic):],
		"it unpacks to none":  helper.Magic + helperFrame('z', zipped(0)) + good[len(helper.Magic):],
		"no end of the list":  list(helperEntry),
		"half an entry":       list(helperEntry[:30]),
		"no digest":           list("f 644 0 0 1.5 0 1 2 1\x00a\x00\x00\x00" + helperEnd),
		"a short digest":      list("f 644 0 0 1.5 0 1 2 1\x00a\x00\x00e3b0\x00" + helperEnd),
		"a folder's digest":   list("d" + helperEntry[1:] + helperEnd),
		"more behind a list":  list(helperEntry + helperEnd + "x"),
	} {
		if n, err := takeOutput(t, said, 5, new(bytes.Buffer)); err == nil {
			t.Errorf("%s: %d entries", name, n)
		}
	}
}

// zipped is so many zeros, compressed.
func zipped(n int) string {
	w, err := zstd.NewWriter(nil, zstd.WithZeroFrames(true))
	if err != nil {
		panic(err)
	}
	return string(w.EncodeAll(make([]byte, n), nil))
}

// FuzzHelperOutput: whatever is said, in whatever pieces, is refused or whole.
func FuzzHelperOutput(f *testing.F) {
	f.Add(helper.Magic+helperFrame('l', helperEntry+helperEnd)+helperFrame('a', "tar")+helperFrame('x', ""), 3)
	f.Add(helper.Magic+helperFrame('z', zipped(9))+helperFrame('l', helperEntry+helperEnd)+helperFrame('x', ""), 3)
	f.Add(helper.Magic+"a\x00\x04\x00\x01", 1)
	f.Fuzz(func(t *testing.T, said string, n int) {
		n = max(1, n&0xff)
		var one, other bytes.Buffer
		items, err := takeOutput(t, said, n, &one)
		again, errAgain := takeOutput(t, said, len(said)+1, &other)
		if (err == nil) != (errAgain == nil) || items != again || err == nil && one.String() != other.String() {
			t.Errorf("in pieces %d, %v; as a whole %d, %v", items, err, again, errAgain)
		}
	})
}
