package cli

import (
	"os"

	"lockstep/internal/signals"
)

// Signals begins to receive the wishes to stop of this process.
func Signals() <-chan os.Signal { return signals.Stop() }
