package executor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lockstep"
	"lockstep/launcher"
)

// mountError is the refusal to read, or to remove, a folder in which others are
// mounted: what lies there is somebody's, not a copy.
func mountError(t lockstep.Task, mounts []string) error {
	hint := "a backup script must copy, or hard-link (cp -rlp), what it leaves; if nobody needs the mount: " +
		"`umount` it on the instance, then `" + cleanupCommand(t) + "`"
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Hint: hint,
		Err: fmt.Errorf("mounted on instance %s: %s; nothing there was read or removed", t.Step.Instance, quoted(mounts)),
	}
}

// notRemoved says what stands on the instance still, and what to type.
func notRemoved(t lockstep.Task, err error) error {
	out := &lockstep.Error{Op: "remove artifacts", Err: err}
	switch dir := t.Plan.Locations.Artifacts; {
	default:
		out.Hint = fmt.Sprintf("look on %s what keeps it (`lsattr -R %s` shows immutable files, `findmnt` mounts); then `%s` removes it",
			t.Step.Instance, dir, cleanupCommand(t))
	case errors.Is(err, launcher.ErrMounted):
		out.Kind = lockstep.KindRefused
		out.Hint = "nothing was removed: look at what is mounted, `umount` it on the instance, then `" + cleanupCommand(t) + "`"
	case errors.Is(err, launcher.ErrForeign):
		out.Kind = lockstep.KindRefused
		out.Hint = "nothing was removed: look at " + dir + " on the instance; if nobody needs it, remove it there yourself"
	}
	return out
}

// survey refuses what cannot be kept before any of the artifact is moved, and says
// how much it takes on the instance and what is left out of it.
func survey(ctx context.Context, c *launcher.Client, t lockstep.Task) (used int64, notes []string, err error) {
	s, err := c.Survey(ctx, artifactDir(t))
	switch {
	case err != nil:
		return 0, nil, err
	case len(s.Mounts) > 0:
		return 0, nil, mountError(t, s.Mounts)
	case len(s.Odd) > 0:
		return 0, nil, oddError(s.Odd)
	}
	if n := len(s.Sockets); n > 0 {
		notes = append(notes, fmt.Sprintf("left out, for nothing can be kept of them: sockets %s", quoted(s.Sockets)))
	}
	return s.UsedBytes, notes, nil
}

// oddError names what can be in no artifact.
func oddError(odd []string) error {
	kinds := map[string]string{"p": "a FIFO", "b": "a block device", "c": "a character device", "D": "a door", "long": "at a path of more than 4093 bytes"}
	kind, name, _ := strings.Cut(odd[0], " ")
	more := ""
	if len(odd) > 1 {
		more = fmt.Sprintf(", and there are %d more such things", len(odd)-1)
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: fmt.Sprintf("entry %q", name),
		Err:  fmt.Errorf("it is %s, which an artifact cannot hold%s", kinds[kind], more),
		Hint: "the backup script must leave files, folders and links only, and no longer paths",
	}
}

// unread is err, or, where that is why, that the artifact's folder is gone.
func unread(ctx context.Context, c *launcher.Client, t lockstep.Task, err error) error {
	if there, unknown := c.Exists(ctx, artifactDir(t)); unknown != nil || there {
		return err
	}
	return &lockstep.Error{
		Err:  fmt.Errorf("the folder is gone from instance %s", t.Step.Instance),
		Hint: "the backup script must leave the folder that it is given, and have ended all work there when it ends",
	}
}

// traits says what else entries have that is not kept.
func traits(ctx context.Context, c *launcher.Client, t lockstep.Task) (notes []string) {
	found, err := c.Traits(ctx, artifactDir(t))
	if err != nil {
		return []string{"whether its files have extended attributes or ACLs, which are not kept, is not known: " + err.Error()}
	}
	var names []string
	for _, f := range found {
		names = append(names, fmt.Sprintf("%s of %d", traitName(f.Name), f.Count))
	}
	if len(names) == 0 {
		return nil
	}
	return []string{"not kept, for an archive does not carry them: " + strings.Join(names, ", ")}
}

func traitName(name string) string {
	switch name {
	case "system.posix_acl_access", "system.posix_acl_default":
		return "the ACL (" + name + ")"
	case "security.capability":
		return "the capabilities (" + name + ")"
	}
	if flag, ok := strings.CutPrefix(name, "flag "); ok {
		return "the flag " + strconv.Quote(flag) + " (lsattr)"
	}
	return "the attribute " + strconv.Quote(name)
}

// quoted names the first three, and how many more there are.
func quoted(names []string) string {
	text := ""
	for i, name := range names {
		if i == 3 {
			return fmt.Sprintf("%s and %d more", text, len(names)-3)
		}
		if i > 0 {
			text += ", "
		}
		text += strconv.Quote(name)
	}
	return text
}
