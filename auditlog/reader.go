package auditlog

import "context"

// Reader reads a log, and verifies it by nothing but what is kept.
type Reader interface {
	Read(ctx context.Context, q Query) (Page, error)
	Verify(ctx context.Context, trust Trust) (Report, error)
}

// Folder reads the log in a folder, which another process may write.
type Folder string

var _ Reader = Folder("")

// Read implements Reader.
func (f Folder) Read(ctx context.Context, q Query) (Page, error) { return Read(ctx, string(f), q) }

// Verify implements Reader.
func (f Folder) Verify(ctx context.Context, trust Trust) (Report, error) {
	return Verify(ctx, string(f), trust)
}
