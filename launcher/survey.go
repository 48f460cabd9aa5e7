package launcher

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Survey is what lies in a folder that an archive of it cannot carry. Names are as
// people are shown them: a newline is a "?".
type Survey struct {
	// Mounts are what is mounted on the folder or in it, with whole paths.
	Mounts []string
	// Odd are the first FIFOs and devices, as the letter of find, a space and the
	// path in the folder, and what has a path of more than 4093 bytes there, as
	// "long" and its first 200; Sockets are the first sockets' paths. There are at
	// most a hundred of each.
	Odd, Sockets []string
	// UsedBytes are allocated by the folder.
	UsedBytes int64
}

// Survey looks through the folder, reading no file. None is an error.
func (c *Client) Survey(ctx context.Context, dir string) (Survey, error) {
	f, err := c.onDir(ctx, "survey", dir)
	if err != nil {
		return Survey{}, fmt.Errorf("look through folder %q: %w", dir, err)
	}
	var s Survey
	for line := range strings.Lines(string(f.payload)) {
		kind, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch kind {
		case "used":
			if s.UsedBytes, err = strconv.ParseInt(name, 10, 64); err != nil || s.UsedBytes < 0 {
				return Survey{}, fmt.Errorf("look through folder %q: %w: %.80q", dir, errFrame, line)
			}
		case "mount":
			s.Mounts = append(s.Mounts, mountPath(name))
		case "s":
			s.Sockets = append(s.Sockets, name)
		default:
			s.Odd = append(s.Odd, kind+" "+name)
		}
	}
	return s, nil
}

// Trait is something that entries have and an archive does not carry.
type Trait struct {
	// Name is that of an extended attribute ("system.posix_acl_access" is an ACL),
	// or "flag X" with the letter of lsattr.
	Name string
	// Count is how many entries have it.
	Count int
}

// Traits counts the extended attributes, ACLs and, where the instance has lsattr,
// flags of what is in the folder. Labels of SELinux are not counted.
func (c *Client) Traits(ctx context.Context, dir string) ([]Trait, error) {
	f, err := c.onDir(ctx, "traits", dir)
	if err != nil {
		return nil, fmt.Errorf("look for attributes in folder %q: %w", dir, err)
	}
	var traits []Trait
	for line := range strings.Lines(string(f.payload)) {
		count, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(count)
		if !ok || err != nil {
			return nil, fmt.Errorf("look for attributes in folder %q: %w: %.80q", dir, errFrame, line)
		}
		traits = append(traits, Trait{name, n})
	}
	return traits, nil
}

// mountPath undoes what the kernel writes for a space, a tab, a newline and a
// backslash.
func mountPath(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// mountedError names the mounts, one a line.
func mountedError(text string) error {
	var names []string
	for line := range strings.Lines(text) {
		names = append(names, strconv.Quote(mountPath(strings.TrimSpace(line))))
	}
	return fmt.Errorf("%w: %s", ErrMounted, strings.Join(names, ", "))
}
