package bbr

import (
	"os"

	"lockstep/internal/signals"
)

// Signals begins to receive the signals that a Program answers.
func Signals() <-chan os.Signal { return signals.Stop() }
