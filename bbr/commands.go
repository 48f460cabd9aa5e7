package bbr

import "slices"

// mode is a command that has subcommands.
type mode struct {
	name, help string
	options    []option
	required   []string
	subs       []subcommand
}

// action says what a subcommand does.
type action int

const (
	actionCheck action = iota
	actionBackup
	actionRestore
	actionBackupCleanup
	actionRestoreCleanup
)

// subcommand is one of a mode.
type subcommand struct {
	action  action
	names   []string // the name, then its aliases
	help    string
	options []option
}

func (m mode) director() bool { return m.name == "director" }

func (m mode) find(name string) (subcommand, bool) {
	i := slices.IndexFunc(m.subs, func(s subcommand) bool { return slices.Contains(s.names, name) })
	if i < 0 {
		return subcommand{}, false
	}
	return m.subs[i], true
}

var (
	savePath = option{names: []string{"artifact-path", "a"}, help: "Specify an optional path to save the backup artifacts to"}
	readPath = option{names: []string{"artifact-path", "a"}, help: "Path to the artifact to restore"}
)

// modes are the two commands, with their options in the order in which help
// shows them.
func modes() []mode { return []mode{deploymentMode(), directorMode()} }

func deploymentMode() mode {
	return mode{
		name: "deployment", help: "Backup BOSH deployments",
		required: []string{"target", "username", "password"},
		options: []option{
			{names: []string{"target", "t"}, env: []string{"BOSH_ENVIRONMENT"}, help: "BOSH Director URL"},
			{names: []string{"username", "u"}, env: []string{"BOSH_CLIENT"}, help: "BOSH Director username"},
			{names: []string{"password", "p"}, env: []string{"BOSH_CLIENT_SECRET"}, help: "BOSH Director password"},
			{names: []string{"deployment", "d"}, env: []string{"BOSH_DEPLOYMENT"}, help: "Name of BOSH deployment. Omit if '--all-deployments' is provided"},
			{names: []string{"ca-cert"}, env: []string{"CA_CERT", "BOSH_CA_CERT"}, help: "Path or value of BOSH Director custom CA certificate"},
			{names: []string{"debug"}, flag: true, help: "Enable debug logs"},
			{names: []string{"all-deployments"}, flag: true, help: "Run command for all deployments. Omit if '--deployment' is provided. Currently only supported for: pre-backup-check, backup and backup-cleanup"},
		},
		subs: []subcommand{
			{action: actionCheck, names: []string{"pre-backup-check", "c"}, help: "Check a deployment can be backed up"},
			{action: actionBackup, names: []string{"backup", "b"}, help: "Backup a deployment", options: []option{
				{names: []string{"with-manifest"}, flag: true, help: "Download the deployment manifest"},
				savePath,
				{names: []string{"unsafe-lock-free"}, flag: true, help: "Experimental feature to skip locking steps when backing up the BOSH deployment. Cannot be used in combination with the all-deployments flag"},
			}},
			{action: actionRestore, names: []string{"restore", "r"}, help: "Restore a deployment from backup", options: []option{readPath}},
			{action: actionBackupCleanup, names: []string{"backup-cleanup"}, help: "Cleanup a deployment after a backup was interrupted"},
			{action: actionRestoreCleanup, names: []string{"restore-cleanup"}, help: "Cleanup a deployment after a restore was interrupted"},
		},
	}
}

func directorMode() mode {
	return mode{
		name: "director", help: "Backup BOSH director",
		required: []string{"host", "username", "private-key-path"},
		options: []option{
			{names: []string{"host"}, help: "BOSH Director hostname, with an optional port. Port defaults to 22"},
			{names: []string{"username", "u"}, help: "BOSH Director SSH username"},
			{names: []string{"private-key-path", "key"}, help: "BOSH Director SSH private key"},
			{names: []string{"debug"}, flag: true, help: "Enable debug logs"},
		},
		subs: []subcommand{
			{action: actionCheck, names: []string{"pre-backup-check", "c"}, help: "Check a BOSH Director can be backed up"},
			{action: actionBackup, names: []string{"backup", "b"}, help: "Backup a BOSH Director", options: []option{savePath}},
			{action: actionRestore, names: []string{"restore", "r"}, help: "Restore a deployment from backup", options: []option{readPath}},
			{action: actionBackupCleanup, names: []string{"backup-cleanup"}, help: "Cleanup a director after a backup was interrupted"},
			{action: actionRestoreCleanup, names: []string{"restore-cleanup"}, help: "Cleanup a director after a restore was interrupted"},
		},
	}
}
