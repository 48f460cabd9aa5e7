package format

import (
	"encoding/json"
	"fmt"
	"time"

	"lockstep/repository"
)

// Snapshot is a file that names a tree.
type Snapshot struct {
	Time     time.Time `json:"time"`
	Parent   *ID       `json:"parent,omitempty"`
	Tree     *ID       `json:"tree"`
	Paths    []string  `json:"paths"`
	Hostname string    `json:"hostname,omitempty"`
	Username string    `json:"username,omitempty"`
	UID      uint32    `json:"uid,omitempty"`
	GID      uint32    `json:"gid,omitempty"`
	Excludes []string  `json:"excludes,omitempty"`
	Tags     []string  `json:"tags,omitempty"`
	Original *ID       `json:"original,omitempty"`
}

// ParseSnapshot reads an opened snapshot file.
func ParseSnapshot(b []byte) (Snapshot, error) {
	var s Snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%w: snapshot: %w", repository.ErrCorrupt, err)
	}
	if s.Tree == nil {
		return s, fmt.Errorf("%w: snapshot: it names no tree", repository.ErrCorrupt)
	}
	return s, nil
}
