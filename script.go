package lockstep

import "fmt"

// ScriptKind names one of the scripts that a job may ship. Its value is the
// script's file name.
type ScriptKind string

// The script kinds, in the order in which a backup and then a restore use
// them.
const (
	ScriptMetadata          ScriptKind = "metadata"
	ScriptPreBackupLock     ScriptKind = "pre-backup-lock"
	ScriptBackup            ScriptKind = "backup"
	ScriptPostBackupUnlock  ScriptKind = "post-backup-unlock"
	ScriptPreRestoreLock    ScriptKind = "pre-restore-lock"
	ScriptRestore           ScriptKind = "restore"
	ScriptPostRestoreUnlock ScriptKind = "post-restore-unlock"
)

// ScriptKinds lists every script kind, in the order of their constants.
func ScriptKinds() []ScriptKind {
	return []ScriptKind{
		ScriptMetadata, ScriptPreBackupLock, ScriptBackup, ScriptPostBackupUnlock,
		ScriptPreRestoreLock, ScriptRestore, ScriptPostRestoreUnlock,
	}
}

// Script is one script that a job ships.
type Script struct {
	Kind ScriptKind `json:"kind"`
	// Path is the absolute path on the instance, or one relative to the login
	// directory where the specification's script location is relative.
	Path string `json:"path"`
	// Digest is the SHA-256 of the file's content in lower-case hex, as the
	// instance reported it at discovery. The launcher runs the script only
	// while the file still has it.
	Digest string `json:"digest"`
	// NotExecutable: nobody has the right to execute the file, so that running
	// it would fail.
	NotExecutable bool `json:"not_executable,omitempty"`
}

// Environment variables of the contract with scripts (docs/script-contract.md).
const (
	EnvVersion           = "BBR_VERSION"
	EnvArtifactDirectory = "BBR_ARTIFACT_DIRECTORY"
	EnvLegacyArtifactDir = "ARTIFACT_DIRECTORY"
	EnvBackupSuccessful  = "BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL"
)

// CheckName refuses a group, id, index, job or artifact name that does not
// match ^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$. Names become file names, words of
// commands and keys of the journal, so they are checked where they enter.
func CheckName(what, name string) error {
	if len(name) == 0 || len(name) > 128 {
		return fmt.Errorf("%s %q: a name has 1 to 128 characters", what, name)
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if alnum || i > 0 && (c == '.' || c == '-') {
			continue
		}
		return fmt.Errorf("%s %q: a name has letters, digits, '_', '.' and '-' only and starts with a letter or digit", what, name)
	}
	return nil
}
