package dir

import (
	"fmt"
	"os"
	"path/filepath"

	"lockstep"
	"lockstep/repository"
)

// OpenBackup returns a repository that holds the one backup whose folder this
// is, and its id there. The folder may have any name, and may be reached
// through a link. The repository is for reading: begin no backup in it.
func OpenBackup(path string) (*Repository, lockstep.BackupID, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	var info os.FileInfo
	if err == nil {
		info, err = os.Stat(real)
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", path)
	}
	if err != nil {
		return nil, "", fmt.Errorf("open backup %q: %w", path, err)
	}
	r := &Repository{path: filepath.Dir(real), only: filepath.Base(real), partials: map[string]bool{}}
	return r, onlyID(r.only), nil
}

// onlyID is the id of a folder that may have a name that no id has.
func onlyID(name string) lockstep.BackupID {
	if repository.CheckID(lockstep.BackupID(name)) != nil {
		return "backup"
	}
	return lockstep.BackupID(name)
}
