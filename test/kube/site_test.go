//go:build kubesuite

package kube

import (
	"testing"

	"lockstep/internal/sitetest"
)

// newSite makes a configuration of the deployment shop; lines are its own, not
// indented.
func newSite(t *testing.T, lines string) *sitetest.Site {
	t.Helper()
	return sitetest.New(t, variable("LOCKSTEP_KUBE_BIN"), lines)
}
