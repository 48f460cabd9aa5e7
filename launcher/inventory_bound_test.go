package launcher

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// endless is a listing that never ends: what an instance that was taken over
// may send.
type endless struct{ entry *strings.Reader }

func (e endless) Read(p []byte) (int, error) {
	n, err := e.entry.Read(p)
	if errors.Is(err, io.EOF) {
		e.entry.Reset(endlessEntry)
		return n, nil
	}
	return n, err
}

const endlessEntry = "d 755 0 0 1.0000000000 0 1 1 1\x00x\x00\x00"

//fault:57 an inventory without an end | it is refused at its bound
func TestInventoryIsBounded(t *testing.T) {
	t.Parallel()
	err := parseInventory(t.Context(), endless{strings.NewReader(endlessEntry)}, func(Item) {})
	if !errors.Is(err, errInventory) || !strings.Contains(err.Error(), "more than") {
		t.Fatalf("a listing without end: %v", err)
	}
}
