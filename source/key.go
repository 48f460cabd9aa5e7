package source

import (
	"cmp"
	"errors"
	"path/filepath"

	"lockstep"
)

// Key is the key of a deployment that a file describes: spec:IDENTITY#NAME, or
// spec:PATH#NAME where it has no identity. An identity cannot begin with a
// slash, so that the two never meet. How the instances are reached is not in it:
// a deployment that gets a container is the same one.
func Key(identity, file, name string) lockstep.DeploymentKey {
	return lockstep.DeploymentKey("spec:" + cmp.Or(identity, file) + "#" + name)
}

// CheckKey refuses what no Key is made of.
func CheckKey(identity, file, name string) error {
	err := lockstep.CheckName("deployment", name)
	switch {
	case identity != "":
		err = errors.Join(err, lockstep.CheckName("identity", identity))
	case file == "":
		err = errors.Join(err, errors.New("neither file nor identity is given"))
	}
	return err
}

// Canonical is the absolute path without symbolic links, as far as that can be
// known; "" stays.
func Canonical(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}
