package restic

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"lockstep/repository/restic/format"
)

func FuzzRecipe(f *testing.F) {
	var good bytes.Buffer
	w, err := newRecipe(&good)
	if err := errors.Join(err, w.literal([]byte("header")), w.blob(format.Sum(nil), 1<<20), w.literal(nil)); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRecipe(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		w, _ := newRecipe(&again)
		for {
			s, err := r.next()
			if err != nil {
				if err == io.EOF && len(b) < again.Len() {
					t.Errorf("%d bytes became %d", len(b), again.Len())
				}
				return
			}
			if s.literal != nil {
				err = w.literal(s.literal)
			} else {
				err = w.blob(s.id, s.size)
			}
			if err != nil || s.size > blobMax {
				t.Error(s.size, err)
			}
		}
	})
}
