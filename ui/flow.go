package ui

import (
	"fmt"

	"lockstep"
	"lockstep/internal/units"
)

// flowText is "1.2 GiB of 3.4 GiB, 85.1 MiB/s, 0:26 left".
func flowText(f lockstep.Flow) string {
	s := units.Size(f.Bytes)
	if f.Total > 0 {
		s += " of " + units.Size(f.Total)
	}
	if f.PerSecond > 0 {
		s += ", " + units.Rate(f.PerSecond)
	}
	if left := f.Left(); left > 0 {
		s += ", " + units.Clock(left) + " left"
	}
	return s
}

// flowShort is flowText in few characters: "33% 85.1 MiB/s".
func flowShort(f lockstep.Flow) string {
	s := units.Size(f.Bytes)
	if f.Total > 0 {
		s = fmt.Sprintf("%d%%", 100*min(f.Bytes, f.Total)/f.Total)
	}
	if f.PerSecond > 0 {
		s += " " + units.Rate(f.PerSecond)
	}
	return s
}
