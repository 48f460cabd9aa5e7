package bbr

import (
	"context"

	"lockstep"
	"lockstep/discover"
	"lockstep/source"
	"lockstep/target"
)

// Setup is what a Program is made of. Wire makes the real one; tests make their
// own.
type Setup struct {
	// Host is the source of the one machine of director mode.
	Host func(HostAccess) (source.Source, error)
	// Director connects to a director.
	Director func(context.Context, DirectorAccess) (Director, error)
	// RemoveUser has an instance remove an SSH user when its last session has
	// ended.
	RemoveUser func(context.Context, target.Target, string) error
	// Open opens the Service for these sources.
	Open func(context.Context, Options) (Orchestrator, error)
}

// HostAccess is how the machine of director mode is reached.
type HostAccess struct {
	// Name is what messages and folders call it; Host is what is dialed.
	Name, Host, User string
	KeyFile          string
	Getenv           func(string) (string, bool)
	// Log is told what is noticed on the way there.
	Log func(tag, level, message string)
}

// DirectorAccess is how a director is reached.
type DirectorAccess struct {
	Target, User, Password string
	// CACert is PEM text or the name of a file; "" is the system's.
	CACert string
	Getenv func(string) (string, bool)
	// Log is told what is asked of the director; it may be called concurrently.
	Log   func(tag, level, message string)
	Debug bool // lines of level DEBUG are wanted
	// Locations are the folders on instances, where they are others than the
	// usual ones.
	Locations lockstep.Locations
}

// Director is a director that has been connected to.
type Director interface {
	// Deployments are the names of its deployments.
	Deployments(ctx context.Context) ([]string, error)
	// Deployment is the source of one of them; nothing is asked for it yet.
	Deployment(name string, g *grouped) (source.Source, error)
	// Manifest is the text of a deployment's manifest.
	Manifest(ctx context.Context, name string) (string, error)
}

// Options are what an Orchestrator is opened with.
type Options struct {
	Sources []source.Source
	// Save is the folder in which backups are made; "" is none. Read is the
	// folder of the one backup to restore. At most one is set.
	Save, Read string
	// SaveName is that folder as the operator named it, or "".
	SaveName string
	// Manifest, if not nil, gives the text to be kept beside a backup.
	Manifest func(ctx context.Context, deployment string) (string, error)
	// Discover is app.Config.Discover.
	Discover func(context.Context, *source.Resolved, discover.Options) (lockstep.Deployment, []lockstep.Noted, error)
	// Provable is app.Config.Provable.
	Provable func(context.Context, source.Instance) error
	Policy   lockstep.Policy
	Version  string
	Getenv   func(string) (string, bool)
	// Warn tells the operator of something that does not keep us from going on.
	Warn func(string)
}

// Orchestrator is an opened Service.
type Orchestrator struct {
	Service lockstep.Service
	// Backup is the id of the one backup to restore.
	Backup lockstep.BackupID
	// Finish puts the local folder of a backup's run that has ended into the
	// state in which the original leaves it; nil where nothing is saved.
	Finish func(context.Context, *lockstep.Run) error
	// Wait waits until every run of this process has let go of everything.
	Wait func()
	// LetGo leaves every run to its instances; see app.App.LetGo.
	LetGo func(context.Context) error
	// Close gives back what the Service holds, after Wait.
	Close func() error
}
