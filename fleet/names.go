package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"os"
	"strconv"
	"time"

	"lockstep"
)

// The names that all versions of the program must agree on: they are kept in
// Temporal.
const (
	// DefaultZone is the zone of a deployment that names none.
	DefaultZone = "default"

	workflowQueue    = "lockstep-fleet"
	workflowOfKey    = "lockstep-deployment"
	workflowOfPlan   = "lockstep-plan"
	updateRun        = "run"
	updateSettle     = "settle"
	activityRun      = "run"
	activitySettle   = "settle"
	activityPlan     = "plan"
	activityIsOpened = "is-opened"
)

// DefaultHeartbeat is after how long without a sign of life a worker counts as gone.
const DefaultHeartbeat = 5 * time.Second

// zoneQueue is the task queue of a zone's workers; "" is the default zone.
func zoneQueue(zone string) string { return "lockstep-zone-" + cmp.Or(zone, DefaultZone) }

// workflowID is the one workflow of a deployment key. Keys have characters and
// lengths that an id had better not have.
func workflowID(key lockstep.DeploymentKey) string {
	sum := sha256.Sum256([]byte(key))
	return workflowOfKey + "-" + hex.EncodeToString(sum[:16])
}

// Identity says which process takes work from Temporal.
type Identity struct {
	// Role is "server" or "worker".
	Role string `json:"role"`
	// Zone is a worker's.
	Zone    string `json:"zone,omitempty"`
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
}

// Self is the identity of this process; zone is "" for a server.
func Self(zone, version string) Identity {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	role := "server"
	if zone != "" {
		role = "worker"
	}
	return Identity{Role: role, Zone: zone, Host: host, PID: os.Getpid(), Version: version}
}

const identityPrefix = "lockstep?"

// String is the identity as Temporal keeps it.
func (i Identity) String() string {
	v := url.Values{"role": {i.Role}, "host": {i.Host}, "pid": {strconv.Itoa(i.PID)}, "version": {i.Version}}
	if i.Zone != "" {
		v.Set("zone", i.Zone)
	}
	return identityPrefix + v.Encode()
}

// parseIdentity reads what Temporal keeps; ok is false for that of another program.
func parseIdentity(s string) (i Identity, ok bool) {
	if len(s) < len(identityPrefix) || s[:len(identityPrefix)] != identityPrefix {
		return i, false
	}
	v, err := url.ParseQuery(s[len(identityPrefix):])
	if err != nil {
		return i, false
	}
	pid, err := strconv.Atoi(v.Get("pid"))
	i = Identity{Role: v.Get("role"), Zone: v.Get("zone"), Host: v.Get("host"), PID: pid, Version: v.Get("version")}
	return i, err == nil && (i.Role == "server" || i.Role == "worker")
}
