package launcher

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// LoginDir is the folder that relative paths are relative to.
func (c *Client) LoginDir(ctx context.Context) (string, error) {
	s, err := c.anySession(ctx)
	if err != nil {
		return "", fmt.Errorf("find login directory: %w", err)
	}
	return s.login, nil
}

// anySession waits for a control session.
func (c *Client) anySession(ctx context.Context) (*session, error) {
	var found *session
	err := c.steady(ctx, func(s *session, _ time.Duration) error {
		found = s
		return nil
	})
	return found, err
}

// onDir asks a verb whose first word is a path.
func (c *Client) onDir(ctx context.Context, verb, dir string, more ...string) (frame, error) {
	if err := checkDir(dir); err != nil {
		return frame{}, err
	}
	word, err := encodeWord(dir)
	if err != nil {
		return frame{}, err
	}
	f, _, err := c.do(ctx, verb, append([]string{word}, more...)...)
	return f, err
}

// checkDir refuses what no artifact lies in.
func checkDir(dir string) error {
	switch dir {
	case "", "/", ".", "..":
		return fmt.Errorf("folder %q is not one to work on", dir)
	}
	return nil
}

// MakeDir makes a folder and its parents; one that exists is left as it is. What
// is made is marked at top, the folder of all artifacts, which dir is or lies in:
// RemoveDir removes nothing else. Errors: ErrFenced when another run than that of
// the last claim owns the instance.
func (c *Client) MakeDir(ctx context.Context, top, dir string) error {
	run, term := c.owner()
	word, err := encodeWord(top)
	if err == nil {
		_, err = c.onDir(ctx, "mkdir", dir, run, term, word)
	}
	if err != nil {
		return fmt.Errorf("make folder %q: %w", dir, err)
	}
	return nil
}

// RemoveDir removes a folder with all that is in it; that there is none is not an error. What still
// unpacks into it for this run is stopped first. Links are removed, never followed,
// and nothing is removed where anything is mounted in it (ErrMounted), or where it
// was not made by MakeDir (ErrForeign), unless it has the name that the contract of
// BOSH Backup and Restore gives it. ErrFenced as for MakeDir.
func (c *Client) RemoveDir(ctx context.Context, dir string) error {
	run, term := c.owner()
	if _, err := c.onDir(ctx, "rmdir", dir, run, term); err != nil {
		return fmt.Errorf("remove folder %q: %w", dir, err)
	}
	return nil
}

// Exists reports whether there is anything of that name. Whatever prevents
// knowing it is an error, never a no.
func (c *Client) Exists(ctx context.Context, dir string) (bool, error) {
	f, err := c.onDir(ctx, "exists", dir)
	if err != nil {
		return false, fmt.Errorf("look for %q: %w", dir, err)
	}
	switch f.word(0) {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, fmt.Errorf("look for %q: %w", dir, errFrame)
}

// Space is how many bytes are available to us where dir is or will be.
func (c *Client) Space(ctx context.Context, dir string) (free int64, err error) {
	f, err := c.onDir(ctx, "space", dir)
	if err != nil {
		return 0, fmt.Errorf("measure space for %q: %w", dir, err)
	}
	free, err = strconv.ParseInt(f.word(0), 10, 64)
	if err != nil || free < 0 {
		return 0, fmt.Errorf("measure space for %q: %w: %.80q", dir, errFrame, f.words)
	}
	return free, nil
}

// Room is how much can still be noted of runs on an instance.
type Room struct {
	// Dir is the run folder.
	Dir string
	// FreeBytes and FreeNames, that is files, of its file system.
	FreeBytes, FreeNames int64
}

// Room measures the file system of the run folder, in which every step leaves
// its record. It is small, as a rule, and shared with others.
func (c *Client) Room(ctx context.Context) (Room, error) {
	f, s, err := c.do(ctx, "room")
	if err != nil {
		return Room{}, fmt.Errorf("measure the room for runs: %w", err)
	}
	bytes, err1 := strconv.ParseInt(f.word(0), 10, 64)
	names, err2 := strconv.ParseInt(f.word(1), 10, 64)
	if err1 != nil || err2 != nil || bytes < 0 || names < 0 {
		return Room{}, fmt.Errorf("measure the room for runs: %w: %.80q", errFrame, f.words)
	}
	return Room{Dir: s.runDir, FreeBytes: bytes, FreeNames: names}, nil
}

// Fit is what Tools, Exists, Space and Room say of an instance on which a run may put
// artifacts in dir: nothing is missing there, and there is no dir. Where that is not so,
// or not known, well is false, and they say why. It is much less for the instance to do.
func (c *Client) Fit(ctx context.Context, dir string) (space int64, room Room, well bool, err error) {
	if err := checkDir(dir); err != nil {
		return space, room, false, err
	}
	word, err := encodeWord(dir)
	if err != nil {
		return space, room, false, err
	}
	f, s, err := c.do(ctx, "fit", word)
	if err != nil || f.word(0) == "ask" {
		return space, room, false, err
	}
	var n [3]int64
	for i := range n {
		if n[i], err = strconv.ParseInt(f.word(i), 10, 64); err != nil || n[i] < 0 {
			return space, room, false, fmt.Errorf("look whether the instance is fit: %w: %.80q", errFrame, f.words)
		}
	}
	return n[0], Room{Dir: s.runDir, FreeBytes: n[1], FreeNames: n[2]}, true, nil
}

// Tools names the programs that the launcher needs and the instance lacks.
func (c *Client) Tools(ctx context.Context) (missing []string, err error) {
	f, _, err := c.do(ctx, "tools")
	if err != nil {
		return nil, fmt.Errorf("look for tools: %w", err)
	}
	for _, w := range f.words {
		if w != "" {
			missing = append(missing, w)
		}
	}
	return missing, nil
}
