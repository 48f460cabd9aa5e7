package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep/repository"
)

// sealedStream is a blob of that content that was sealed while it was made.
func sealedStream(t *testing.T, k *Key, content []byte) (Blob, []byte) {
	t.Helper()
	var out bytes.Buffer
	s, err := k.NewStream(&out)
	if err != nil {
		t.Fatal(err)
	}
	for len(content) > 0 {
		n := min(1000, len(content))
		if _, err := s.Write(content[:n]); err != nil {
			t.Fatal(err)
		}
		content = content[n:]
	}
	b, err := s.End(Tree)
	if err != nil {
		t.Fatal(err)
	}
	return b, k.Authenticate(out.Bytes())
}

// TestAStreamIsABlobLikeAnyOther: it opens as others do, and others open as it does;
// any flipped bit is found by both.
func TestAStreamIsABlobLikeAnyOther(t *testing.T) {
	t.Parallel()
	k := NewKey()
	var w TreeWriter
	var nodes []Node
	for i := range 2000 {
		n := Node{Name: Name(fmt.Sprintf("%05d\xff", i)), Type: NodeFile, Content: []ID{Sum(fmt.Append(nil, i))}}
		nodes = append(nodes, n)
		if err := w.Add(n); err != nil {
			t.Fatal(err)
		}
	}
	plain := w.Bytes()
	b, sealed := sealedStream(t, k, plain)
	if got, err := b.Open(k, nil, sealed); err != nil || !bytes.Equal(got, plain) || int(b.Length) != len(sealed) || b.ID != Sum(plain) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(plain), err)
	}
	whole := Blob{ID: b.ID, Kind: Tree, Plain: b.Plain}
	packed, _ := Compress(nil, plain)
	for name, bytes := range map[string][]byte{"a stream": sealed, "another one": k.Seal(nil, packed)} {
		whole.Length = uint32(len(bytes))
		if err := whole.Prove(k, bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []Node
		if err := whole.Nodes(k, bytes, func(n Node) error { got = append(got, n); return nil }); err != nil || !cmp.Equal(got, nodes) {
			t.Errorf("%s: %d nodes, %v", name, len(got), err)
		}
	}
	for at := 0; at < len(sealed); at += len(sealed) / 50 {
		sealed[at] ^= 4
		if err := b.Prove(k, sealed); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("byte %d is another one: %v", at, err)
		}
		sealed[at] ^= 4
	}
	other := b
	other.ID[3] ^= 1
	longer := b
	longer.Plain++
	for name, b := range map[string]Blob{"another ID": other, "another length": longer} {
		if err := b.Prove(k, sealed); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What ParseTree refuses is refused as a stream too.
func TestNodesOfAStream(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"nodes":[]}`, `{"nodes":[{"name":"a","type":"file","content":[]}]}` + "\n", `{"other":{"nodes":[1]},"nodes":[]}`,
		``, `{`, `[]`, `{"nodes":{}}`, `{"nodes":[`, `{"nodes":[{"name":"a"}`, `{"nodes":[{"name":"a/b"}]}`, `{"nodes":[]}{}`, `{"nodes":[]} x`, `{"nodes":[3]}`,
	} {
		want, wantErr := ParseTree([]byte(text))
		got := []Node{}
		err := readNodes(strings.NewReader(text), func(n Node) error { got = append(got, n); return nil })
		if (err == nil) != (wantErr == nil) || err != nil && !errors.Is(err, repository.ErrCorrupt) || err == nil && !cmp.Equal(got, want) {
			t.Errorf("%q: %v, %v; not %v, %v", text, got, err, want, wantErr)
		}
	}
	stop := errors.New("enough")
	if err := readNodes(strings.NewReader(`{"nodes":[{"name":"a"},{"name":"b"}]}`), func(Node) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// TestAPackOfManyBlobsIsFull: stock restic reads headers up to 16 MiB.
func TestAPackOfManyBlobsIsFull(t *testing.T) {
	t.Parallel()
	var p Pack
	for !p.Full() {
		p.Add(Blob{ID: Sum(fmt.Append(nil, len(p.Blobs))), Plain: 1}, make([]byte, Overhead+1))
	}
	if n := HeaderSize(p.Blobs); n > 16<<20 || len(p.Bytes) >= PackSize {
		t.Errorf("%d blobs of %d bytes, with a header of %d", len(p.Blobs), len(p.Bytes), n)
	}
}
