package format

import (
	"encoding/json"
	"fmt"

	"github.com/restic/chunker"

	"lockstep"
	"lockstep/repository"
)

// Version of the repository format.
const Version = 2

// Config is what a repository is.
type Config struct {
	Version int `json:"version"`
	// ID is the repository's identity.
	ID ID `json:"id"`
	// Polynomial is for the chunker of stock restic.
	Polynomial chunker.Pol `json:"chunker_polynomial"`
}

// NewConfig is that of a new repository.
func NewConfig() (Config, error) {
	pol, err := chunker.RandomPolynomial()
	if err != nil {
		return Config{}, fmt.Errorf("choose a polynomial: %w", err)
	}
	return Config{Version: Version, ID: RandomID(), Polynomial: pol}, nil
}

// ParseConfig reads an opened config file.
func ParseConfig(b []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%w: config: %w", repository.ErrCorrupt, err)
	}
	if c.Version != Version {
		return c, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "open repository",
			Err:  fmt.Errorf("its format has version %d, this program reads version %d", c.Version, Version),
			Hint: "`restic migrate upgrade_repo_v2` makes version 2 of version 1; what is newer needs a newer lockstep",
		}
	}
	return c, nil
}
