package launcher

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for _, s := range append(nasty, "", "=", "%", "\\", "a=b", string(allBytes())) {
		w, err := encodeWord(s)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(w, " \n\t*?['\"$`") {
			t.Errorf("%q is not one harmless word", w)
		}
		if got, err := decodeWord(w); err != nil || got != s {
			t.Errorf("%q came back as %q, %v", s, got, err)
		}
		if name := escapeName(s); strings.ContainsAny(name, "/@ ;\n") {
			t.Errorf("%q is not a file name", name)
		} else if got, err := decodeName(name); err != nil || got != s {
			t.Errorf("%q came back as %q, %v", s, got, err)
		}
	}
	if _, err := encodeWord("a\x00b"); err == nil {
		t.Error("took a NUL")
	}
}

func allBytes() []byte {
	var b []byte
	for c := 1; c < 256; c++ {
		b = append(b, byte(c))
	}
	return b
}

// TestEveryByteReachesTheShell: a folder whose name has every byte.
func TestEveryByteReachesTheShell(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		name := i.dir + "/" + strings.ReplaceAll(string(allBytes()), "/", "")
		if err := i.MakeDir(i.ctx(), name, name); err != nil {
			t.Fatal(err)
		}
		if !i.exists(strings.TrimPrefix(name, i.dir)) {
			t.Error("another name was made")
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("1 ok 0 started\n2 out 3 0\nabc3 no 4 error\ntext"))
	f.Add([]byte("0 hello 4 b 1.0 2.0 2\n/r/l"))
	f.Add([]byte("1 out 99999999999999999999 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(data), usualLine)
		s := &session{ready: make(chan struct{})}
		w := &waiting{session: s}
		c := &claimAnswer{session: s}
		for {
			fr, err := readFrame(r)
			if err != nil {
				return
			}
			if len(fr.payload) > maxPayload {
				t.Fatal("payload beyond its bound")
			}
			_ = s.greet(fr)
			_, _ = w.take(fr)
			_, _ = c.take(fr)
		}
	})
}

func FuzzInventory(f *testing.F) {
	f.Add([]byte("f 644 0 0 1.5 3 1 2 1\x00a\nb\x00\x00end\x001:2 " + strings.Repeat("ab", 32) + "\ndone\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = parseInventory(t.Context(), io.LimitReader(bytes.NewReader(data), 1<<20), func(Item) {})
	})
}

// TestFalseFrames: an instance that answers rubbish gets an error at once, not
// another session.
func TestFalseFrames(t *testing.T) {
	for _, text := range []string{"hello\n", "x ok 0\n", "1 ok 99999999\n", strings.Repeat("x", maxLine+1)} {
		if _, err := readFrame(bufio.NewReaderSize(strings.NewReader(text), usualLine)); !isPermanent(err) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// TestLongFrame: a line that is longer than the buffer is one line, and what
// follows it is whole.
func TestLongFrame(t *testing.T) {
	for _, size := range []int{1, usualLine - 12, usualLine - 11, usualLine, 3*usualLine + 1, maxLine - 20} {
		word := strings.Repeat("w", size)
		r := bufio.NewReaderSize(strings.NewReader("1 ok 4 "+word+"\ntext2 ok 0 next\n"), usualLine)
		first, err := readFrame(r)
		if err != nil || first.word(0) != word || string(first.payload) != "text" {
			t.Fatalf("%d: %v, payload %q", size, err, first.payload)
		}
		if next, err := readFrame(r); err != nil || next.id != 2 || next.word(0) != "next" {
			t.Fatalf("%d: next is %v, %v", size, next, err)
		}
	}
}

// parseInventory reads what the launcher's inventory prints.
func parseInventory(ctx context.Context, r io.Reader, each func(Item)) error {
	g := gather(ctx)
	defer g.close()
	if err := g.takeAll(r); err != nil {
		return err
	}
	return g.each(each)
}
