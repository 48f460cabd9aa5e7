package access

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"lockstep"
)

// No bit of the pepper's file can be another without being told: tokens that are
// refused for it would look like wrong tokens.
//
//fault:pepper-flip a bit is flipped in the file of the pepper | the server is refused, with what to put back and what it costs to do without
func TestLoadPepper_TellsOfEachFlippedBit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pepper")
	if _, err := LoadPepper(path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadPepper(path); lockstep.HintOf(err) == "" {
			t.Errorf("bit %d of byte %d: got %v, want an error with a hint", bit%8, bit/8, err)
		}
	}
}

// A pepper that somebody made by hand is one line.
func TestLoadPepper_TakesOneLine(t *testing.T) {
	t.Parallel()
	key := NewPepper().key
	for _, end := range []string{"", "\n", "\r\n", " \n\n"} {
		path := filepath.Join(t.TempDir(), "pepper")
		line, _, _ := bytes.Cut(pepperText(key), []byte("\n"))
		if err := os.WriteFile(path, append(line, end...), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := LoadPepper(path); err != nil || !bytes.Equal(p.key, key) {
			t.Errorf("end %q: %v", end, err)
		}
	}
}

// TestLoadSharedPepper: the first server decides which pepper it is, and makes one; who
// has another one, or none, does not start, and makes none.
//
//fault:pepper-other a second server is started on the same database with another pepper, or with none | it is refused, with what to copy, and what it costs to do without
func TestLoadSharedPepper(t *testing.T) {
	t.Parallel()
	ctx, dir, begun := context.Background(), t.TempDir(), openStore(t)
	first := filepath.Join(dir, "first")
	p, err := LoadSharedPepper(ctx, first, begun)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := LoadSharedPepper(ctx, first, begun); err != nil || !bytes.Equal(again.key, p.key) {
		t.Errorf("the same again: %v", err)
	}
	none, other := filepath.Join(dir, "none"), filepath.Join(dir, "other")
	if _, err := LoadPepper(other); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{none, other} {
		if _, err := LoadSharedPepper(ctx, path, begun); lockstep.KindOf(err) != lockstep.KindRefused || lockstep.HintOf(err) == "" {
			t.Errorf("%s: %v, %s", path, err, lockstep.HintOf(err))
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("a pepper was made beside the one that there is")
	}
}
