package format

import (
	"encoding/json"
	"fmt"

	"lockstep/repository"
)

// Index is a file that says what is in packs.
type Index struct {
	Supersedes []ID        `json:"supersedes,omitempty"`
	Packs      []PackBlobs `json:"packs"`
}

// PackBlobs is what is in one pack.
type PackBlobs struct {
	ID    ID     `json:"id"`
	Blobs []Blob `json:"blobs"`
}

// ParseIndex reads an opened index file.
func ParseIndex(b []byte) (Index, error) {
	var x Index
	if err := json.Unmarshal(b, &x); err != nil {
		return x, fmt.Errorf("%w: index: %w", repository.ErrCorrupt, err)
	}
	for _, p := range x.Packs {
		for _, b := range p.Blobs {
			if err := b.check(); err != nil {
				return x, fmt.Errorf("index: pack %s: %w", p.ID.Short(), err)
			}
		}
	}
	return x, nil
}
