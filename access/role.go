package access

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"lockstep"
)

// Role is a fixed set of permissions.
type Role string

// The roles.
const (
	// RoleViewer sees states: no output of scripts, no data, and nothing that
	// would run on an instance.
	RoleViewer Role = "viewer"
	// RoleBackupOperator makes backups and unlocks.
	RoleBackupOperator Role = "backup-operator"
	// RoleRestoreOperator restores, or asks for it where a second person has
	// to approve, and unlocks.
	RoleRestoreOperator Role = "restore-operator"
	// RoleApprover is the second person of a restore.
	RoleApprover Role = "approver"
	// RoleAdmin may do everything but approve.
	RoleAdmin Role = "admin"
	// RoleAuditor reads states and the audit log.
	RoleAuditor Role = "auditor"
)

// Permission is one thing that can be allowed.
type Permission string

// The permissions. Some are server-wide: they need a grant on "*".
const (
	DeploymentsRead Permission = "deployments:read"
	RunsRead        Permission = "runs:read"
	OutputRead      Permission = "output:read" // what scripts printed
	PlansMake       Permission = "plans:make"  // runs metadata scripts as root
	RunsBackup      Permission = "runs:backup" // and check
	RunsRestore     Permission = "runs:restore"
	RunsCancel      Permission = "runs:cancel"
	RunsUnlock      Permission = "runs:unlock" // cleanup, settle, acknowledge
	RunsPrune       Permission = "runs:prune"
	BackupsRead     Permission = "backups:read"
	BackupsVerify   Permission = "backups:verify"
	BackupsBrowse   Permission = "backups:browse" // names and properties of files
	BackupsExport   Permission = "backups:export" // take the data out
	BackupsForget   Permission = "backups:forget"
	RepositoryPrune Permission = "repository:prune" // on a schedule; by hand it is for who has the host
	SchedulesRead   Permission = "schedules:read"
	SchedulesWrite  Permission = "schedules:write"
	ApprovalsRead   Permission = "approvals:read"
	ApprovalsGive   Permission = "approvals:give"
	TokensManage    Permission = "tokens:manage"
	AuditRead       Permission = "audit:read"
	NotifyTest      Permission = "notify:test"
	MetricsRead     Permission = "metrics:read"
)

// serverWidePermissions concern no single deployment.
var serverWidePermissions = []Permission{RunsPrune, RepositoryPrune, TokensManage, AuditRead, NotifyTest, MetricsRead}

var (
	sees     = []Permission{DeploymentsRead, RunsRead, BackupsRead, SchedulesRead}
	operates = slices.Concat(sees, []Permission{OutputRead, PlansMake, RunsCancel, RunsUnlock, BackupsVerify})
)

// permissions is the whole policy.
var permissions = map[Role][]Permission{
	RoleViewer:          sees,
	RoleBackupOperator:  slices.Concat(operates, []Permission{RunsBackup, SchedulesWrite}),
	RoleRestoreOperator: slices.Concat(operates, []Permission{RunsRestore, BackupsBrowse, ApprovalsRead}),
	RoleApprover:        slices.Concat(sees, []Permission{ApprovalsRead, ApprovalsGive}),
	RoleAuditor:         slices.Concat(sees, []Permission{ApprovalsRead, AuditRead, MetricsRead}),
	RoleAdmin: slices.Concat(operates, []Permission{
		RunsBackup, RunsRestore, RunsPrune, BackupsBrowse, BackupsExport, BackupsForget, RepositoryPrune, SchedulesWrite,
		ApprovalsRead, TokensManage, AuditRead, NotifyTest, MetricsRead,
	}),
}

// Roles are all roles, the one that may least first.
func Roles() []Role {
	return []Role{RoleViewer, RoleAuditor, RoleApprover, RoleBackupOperator, RoleRestoreOperator, RoleAdmin}
}

// Permits reports whether the role has the permission. An unknown role has
// none.
func (r Role) Permits(perm Permission) bool { return slices.Contains(permissions[r], perm) }

// Check reports what is wrong with a grant that somebody wrote down.
func (g Grant) Check() error {
	if _, ok := permissions[g.Role]; !ok {
		return fmt.Errorf("%q is not a role; roles are %s", g.Role, join(Roles()))
	}
	if _, err := path.Match(g.Deployments, "x"); err != nil || g.Deployments == "" || strings.ContainsAny(g.Deployments, `[]\ `) {
		return fmt.Errorf("%q is not a pattern of deployments; write a name, \"shop-*\", or \"*\" for all", g.Deployments)
	}
	return nil
}

// String is ROLE@PATTERN, as ParseGrant reads it.
func (g Grant) String() string { return string(g.Role) + "@" + g.Deployments }

// ParseGrant reads a grant as people write it: ROLE or ROLE@PATTERN. Without a
// pattern it is for all deployments.
func ParseGrant(s string) (Grant, error) {
	role, pattern, found := strings.Cut(s, "@")
	if !found {
		pattern = "*"
	}
	g := Grant{Role(role), pattern}
	if err := g.Check(); err != nil {
		return Grant{}, &lockstep.Error{
			Kind: lockstep.KindUsage, Op: fmt.Sprintf("read grant %q", s), Err: err,
			Hint: "write ROLE@PATTERN, for example backup-operator@shop-*",
		}
	}
	return g, nil
}

// CheckGrants reports what is wrong with a list of grants.
func CheckGrants(grants []Grant) error {
	var errs []error
	for _, g := range grants {
		errs = append(errs, g.Check())
	}
	if len(grants) == 0 {
		errs = append(errs, errors.New("no role is granted"))
	}
	return errors.Join(errs...)
}

func join[S ~string](list []S) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
