package lockstep

// RepositoryStatus says whether what is at the repository's location is what
// was there before.
type RepositoryStatus struct {
	Location string `json:"location"`
	// Identity is that of what is there now, "" if there is none; Expected the
	// one that this orchestrator's journal remembers, "" if it has not used the
	// location yet.
	Identity string `json:"identity"`
	Expected string `json:"expected"`
	// Missing: it is not the one that is expected, and nothing is done with it.
	Missing bool `json:"missing"`
	// RolledBack are backups that were committed there and are gone, though nobody forgot
	// them here: it is an earlier state of itself. It can be used as it is.
	RolledBack []BackupID `json:"rolled_back,omitempty"`
	Problem    string     `json:"problem,omitempty"`
	Hint       string     `json:"hint,omitempty"`
	Backups    int        `json:"backups"`
	// Free is how many bytes may still be kept, -1 if that is not known.
	Free int64 `json:"free_bytes"`
}
