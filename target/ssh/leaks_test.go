package ssh_test

import (
	"testing"

	"lockstep/internal/leaks"
)

// TestMain sees to it that no test leaves a process behind.
func TestMain(m *testing.M) { leaks.Main(m) }
