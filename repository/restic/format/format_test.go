package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"lockstep/repository"
)

func TestSealedComesBackAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	k := NewKey()
	for _, plain := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte("0123456789"), 1000)} {
		sealed := k.Seal([]byte("before"), plain)[len("before"):]
		if got, err := k.Open([]byte("y"), sealed); err != nil || string(got) != "y"+string(plain) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		for i := range sealed {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			if _, err := k.Open(nil, bad); !errors.Is(err, repository.ErrCorrupt) {
				t.Fatalf("byte %d of %d changed: %v", i, len(sealed), err)
			}
		}
		if _, err := NewKey().Open(nil, sealed); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("another key: %v", err)
		}
	}
}

func TestAPasswordOpensItsKey(t *testing.T) {
	t.Parallel()
	master := NewKey()
	b, err := NewKeyFile(master, "secret", KDF{2, 8, 1})
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseKeyFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := f.Unlock("secret"); err != nil || !bytes.Equal(k.Derive("x"), master.Derive("x")) {
		t.Errorf("another key, %v", err)
	}
	if _, err := f.Unlock("Secret"); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("wrong password: %v", err)
	}
}

// TestAKeyFileCannotAskForEverything: who can write into a repository cannot
// make us use all memory.
func TestAKeyFileCannotAskForEverything(t *testing.T) {
	t.Parallel()
	for _, kdf := range []string{`"N":1073741824,"r":8,"p":1`, `"N":2,"r":1073741824,"p":1`, `"N":2,"r":8,"p":100000`, `"N":0,"r":8,"p":1`, `"N":2,"r":-1,"p":1`} {
		if _, err := ParseKeyFile([]byte(`{"kdf":"scrypt",` + kdf + `}`)); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("%s: %v", kdf, err)
		}
	}
}

func TestAPackSaysWhatIsInIt(t *testing.T) {
	t.Parallel()
	k := NewKey()
	var p Pack
	var want [][]byte
	for i, plain := range [][]byte{[]byte("short"), bytes.Repeat([]byte("compressible "), 10_000), nil} {
		b := Blob{ID: Sum(plain), Kind: Kind(i % 2)}
		body := plain
		if packed, smaller := Compress(nil, plain); smaller {
			body, b.Plain = packed, uint32(len(plain))
		}
		p.Add(b, k.Seal(nil, body))
		want = append(want, plain)
	}
	blobs := p.Blobs
	end := len(p.Bytes)
	p.Finish(k)
	if got := len(p.Bytes) - end; got != HeaderSize(blobs) {
		t.Errorf("the header has %d bytes, HeaderSize says %d", got, HeaderSize(blobs))
	}
	got, err := ReadHeader(k, p.Bytes)
	if err != nil || len(got) != len(blobs) {
		t.Fatalf("%v, %v", got, err)
	}
	for i, b := range got {
		if b != blobs[i] || b.Size() != len(want[i]) {
			t.Errorf("blob %d is %+v, %+v was put", i, b, blobs[i])
		}
		plain, err := b.Open(k, []byte("x"), p.Bytes[b.Offset:b.Offset+b.Length])
		if err != nil || !bytes.Equal(plain[1:], want[i]) {
			t.Errorf("blob %d: %d bytes, %v", i, len(plain), err)
		}
	}
	if _, err := ReadHeader(k, p.Bytes[:len(p.Bytes)-1]); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a pack that is cut off: %v", err)
	}
}

func TestNamesOfAnyBytes(t *testing.T) {
	t.Parallel()
	for _, name := range []Name{"plain", "blank and\nnewline", "\xff\xfe raw", `quote"s'\`, "ü", "\x01"} {
		b, err := EncodeTree([]Node{{Name: name, Type: NodeFile}})
		if err != nil {
			t.Fatal(err)
		}
		if nodes, err := ParseTree(b); err != nil || len(nodes) != 1 || nodes[0].Name != name {
			t.Errorf("%q became %v, %v", name, nodes, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", `\x00`, `\x2f`} {
		quoted, _ := json.Marshal(name)
		if nodes, err := ParseTree([]byte(`{"nodes":[{"name":` + string(quoted) + `}]}`)); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("name %q was taken: %v, %v", name, nodes, err)
		}
	}
}

func TestWhenALockIsStale(t *testing.T) {
	t.Parallel()
	now := time.Now()
	alive := func(pid int) bool { return pid == 1 }
	for _, c := range []struct {
		lock Lock
		want bool
	}{
		{Lock{Time: now, Hostname: "here", PID: 1}, false},
		{Lock{Time: now, Hostname: "here", PID: 2}, true},
		{Lock{Time: now, Hostname: "there", PID: 2}, false},
		{Lock{Time: now.Add(-StaleAfter - 1), Hostname: "there", PID: 1}, true},
	} {
		if got := c.lock.Stale(now, "here", alive); got != c.want {
			t.Errorf("%s: %v", c.lock, got)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(make([]byte, 37), 32)
	f.Add(append([]byte{2, 40, 0, 0, 0, 99, 0, 0, 0}, make([]byte, 32)...), 40)
	f.Fuzz(func(t *testing.T, head []byte, size int) {
		blobs, err := parseHeader(head, size)
		sum := 0
		for _, b := range blobs {
			sum += int(b.Length)
		}
		if err == nil && sum != size {
			t.Errorf("%d bytes of blobs in %d", sum, size)
		}
	})
}

func FuzzParseTree(f *testing.F) {
	f.Add([]byte(`{"nodes":[{"name":"a\\xff","type":"symlink","linktarget":"x"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		nodes, err := ParseTree(b)
		if err != nil {
			return
		}
		for _, n := range nodes {
			if n.Name == ".." || bytes.ContainsAny([]byte(n.Name), "/\x00") {
				t.Errorf("name %q", n.Name)
			}
		}
	})
}
