package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Record is what a journal keeps beside runs: something that outlives them, and
// of which only the last word counts, such as what a repository is called.
type Record struct {
	// Kind and Name tell records apart. A kind is one word of ours; a name may
	// be any text of at most MaxRecordName bytes.
	Kind string
	Name string
	// Data is JSON, of at most MaxRecord bytes.
	Data json.RawMessage
	At   time.Time
}

// The bounds of a record.
const (
	MaxRecord     = 16 << 20
	MaxRecordName = 1 << 10
)

// Check refuses a record that no journal keeps. It is for journals.
func (r Record) Check() error {
	op := fmt.Sprintf("keep record %s %q", r.Kind, r.Name)
	switch {
	case r.Kind == "":
		return errors.New(op + ": it is of no kind")
	case len(r.Name) > MaxRecordName || len(r.Data) > MaxRecord:
		return fmt.Errorf("%s: its name has %d bytes and it has %d: more than %d and %d", op, len(r.Name), len(r.Data), MaxRecordName, MaxRecord)
	case !json.Valid(r.Data):
		return errors.New(op + ": it is not JSON")
	}
	return nil
}
