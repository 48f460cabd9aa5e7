package docker

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"lockstep"
)

// unfit says of each container why a run must not lock anything in it, or nil:
// what a run leaves there, so that it can be unlocked, must outlive the container
// and be its own. keeps is where that lies outside of each.
func unfit(list []found, at lockstep.Locations) (errs []error, keeps [][]string) {
	errs, keeps = make([]error, len(list)), make([][]string, len(list))
	owners := map[string]string{} // of the folders outside
	for i, f := range list {
		for _, folder := range []string{at.Claim, at.Launcher} {
			outside, err := lasting(f.summary, folder)
			other, taken := owners[outside]
			switch {
			case errs[i] != nil:
			case err != nil:
				errs[i] = notLasting(f, folder, err, at)
			case taken:
				errs[i] = notLasting(f, folder, fmt.Errorf("it is the same folder as that of container %s", other), at)
			}
			if outside != "" {
				owners[outside] = f.container
				keeps[i] = append(keeps[i], outside)
			}
		}
	}
	return errs, keeps
}

// lasting is where a folder of a container lies outside of it.
func lasting(c container.Summary, folder string) (outside string, err error) {
	if !path.IsAbs(folder) {
		return "", errors.New("it is not absolute")
	}
	var holds container.MountPoint
	for _, m := range c.Mounts {
		if within(folder, m.Destination) && len(m.Destination) > len(holds.Destination) {
			holds = m
		}
	}
	switch {
	case holds.Destination == "":
		return "", errors.New("it lies in the container itself")
	case holds.Type != mount.TypeVolume && holds.Type != mount.TypeBind:
		return "", fmt.Errorf("%s is a %s", holds.Destination, holds.Type)
	case !holds.RW:
		return "", fmt.Errorf("the volume at %s is read-only", holds.Destination)
	}
	// Where a volume lies outside not every engine tells here; its name all do.
	return cmp.Or(holds.Name, holds.Source) + strings.TrimPrefix(path.Clean(folder), path.Clean(holds.Destination)), nil
}

func within(folder, mount string) bool {
	folder, mount = path.Clean(folder), path.Clean(mount)
	return folder == mount || strings.HasPrefix(folder, strings.TrimSuffix(mount, "/")+"/")
}

// notLasting names the folder and what makes it last.
func notLasting(f found, folder string, why error, at lockstep.Locations) error {
	e := &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "look whether what a run leaves outlives the container " + f.container,
		Err: fmt.Errorf("%s would be lost with it, and with it what is locked: %w", folder, why),
	}
	volume := path.Dir(at.Claim)
	switch {
	case !path.IsAbs(folder):
		e.Hint = "write claim_location and launcher_location as absolute paths, or leave them out"
	case volume != path.Dir(at.Launcher) || volume == "/":
		e.Hint = fmt.Sprintf("put %s and %s on volumes of the container's own", at.Claim, at.Launcher)
	default:
		// Without a name it would be another one after `docker compose down`.
		name := cmp.Or(f.summary.Labels[labelService], f.container) + "-lockstep"
		e.Hint = fmt.Sprintf("give its service a volume of its own in the Compose file (docker run -v %[1]s:%[2]s), and make it anew:\n"+
			"    volumes:\n    - %[1]s:%[2]s\nand at the top level of that file:\n    volumes:\n      %[1]s: {}", name, volume)
	}
	return e
}
