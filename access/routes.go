package access

import (
	"slices"
)

// What a route may want beside a permission.
const (
	// Public: anybody, without being known.
	Public Permission = "public"
	// Anyone: whoever is known, whatever their grants.
	Anyone Permission = "anyone"
)

// Routes is the one table from route, as METHOD and pattern of http.ServeMux,
// to what it wants. A GET is a HEAD too. A route that is not here is answered
// as if it did not exist. What a route wants must be had for some deployment;
// for which one, Guard looks at. What is server-wide must be had for all.
var Routes = map[string]Permission{
	"GET /healthz":      Public,
	"GET /readyz":       Public,
	"GET /version":      Public,
	"GET /openapi.json": Public,
	"GET /metrics":      MetricsRead,

	"GET /login":               Public,
	"POST /login":              Public,
	"POST /logout":             Public,
	"GET /login/oidc":          Public,
	"GET /login/oidc/callback": Public,

	"GET /api/v1/me":      Anyone,
	"GET /api/v1/leading": Anyone,

	"GET /api/v1/deployments":  Anyone, // a list of what may be seen, maybe empty
	"GET /api/v1/held":         RunsRead,
	"GET /api/v1/status":       RunsRead,
	"POST /api/v1/plans":       PlansMake,
	"POST /api/v1/settlements": RunsUnlock,
	"POST /api/v1/prunings":    RunsPrune,

	"GET /api/v1/runs":                    RunsRead,
	"POST /api/v1/runs":                   Anyone, // what it wants depends on the operation: see Guard
	"GET /api/v1/runs/{run}":              RunsRead,
	"GET /api/v1/runs/{run}/events":       RunsRead,
	"GET /api/v1/runs/{run}/audit":        RunsRead,
	"GET /api/v1/runs/{run}/output":       OutputRead,
	"POST /api/v1/runs/{run}/cancel":      RunsCancel,
	"POST /api/v1/runs/{run}/acknowledge": RunsUnlock,

	"GET /api/v1/backups":                                       BackupsRead,
	"GET /api/v1/backups/{backup}":                              BackupsRead,
	"POST /api/v1/backups/{backup}/verify":                      BackupsVerify,
	"DELETE /api/v1/backups/{backup}":                           BackupsForget,
	"GET /api/v1/backups/{backup}/artifacts/{artifact}":         BackupsExport,
	"GET /api/v1/backups/{backup}/artifacts/{artifact}/entries": BackupsBrowse,

	"GET /api/v1/schedules":                    SchedulesRead,
	"GET /api/v1/schedules/{schedule}":         SchedulesRead,
	"PUT /api/v1/schedules/{schedule}":         SchedulesWrite,
	"DELETE /api/v1/schedules/{schedule}":      SchedulesWrite,
	"POST /api/v1/schedules/{schedule}/pause":  SchedulesWrite,
	"POST /api/v1/schedules/{schedule}/resume": SchedulesWrite,
	"POST /api/v1/schedules/{schedule}/run":    SchedulesWrite,
	"GET /api/v1/schedules/{schedule}/next":    SchedulesRead,
	"GET /api/v1/schedules/{schedule}/slots":   SchedulesRead,

	"GET /api/v1/receivers":       NotifyTest,
	"POST /api/v1/receivers/test": NotifyTest,
	"GET /api/v1/deliveries":      NotifyTest,

	"GET /api/v1/tokens":                        TokensManage,
	"POST /api/v1/tokens":                       TokensManage,
	"DELETE /api/v1/tokens/{token}":             TokensManage,
	"GET /api/v1/approvals":                     ApprovalsRead,
	"POST /api/v1/approvals":                    RunsRestore,
	"GET /api/v1/approvals/{approval}":          ApprovalsRead,
	"POST /api/v1/approvals/{approval}/approve": ApprovalsGive,
	"POST /api/v1/approvals/{approval}/deny":    ApprovalsGive,
	"GET /api/v1/audit":                         AuditRead,
	"POST /api/v1/audit/verify":                 AuditRead,

	// The pages. What a form asks for depends on what is in it: Guard looks.
	"GET /{$}":                           Anyone,
	"GET /assets/{file}":                 Public,
	"GET /deployments/{name}":            DeploymentsRead,
	"GET /deployments/{name}/backup":     RunsBackup,
	"GET /deployments/{name}/plan":       PlansMake,
	"POST /deployments/{name}/plan":      PlansMake,
	"GET /runs":                          RunsRead,
	"POST /runs":                         Anyone,
	"GET /runs/{id}":                     RunsRead,
	"GET /runs/{id}/stream":              RunsRead,
	"POST /runs/{id}/cancel":             RunsCancel,
	"GET /runs/{id}/output/{step...}":    OutputRead,
	"GET /runs/{id}/acknowledge":         RunsUnlock,
	"POST /runs/{id}/acknowledge":        RunsUnlock,
	"POST /settle":                       RunsUnlock,
	"GET /backups":                       BackupsRead,
	"GET /backups/{id}":                  BackupsRead,
	"POST /backups/{id}/verify":          BackupsVerify,
	"GET /backups/{id}/forget":           BackupsForget,
	"POST /backups/{id}/forget":          BackupsForget,
	"GET /backups/{id}/artifacts/{name}": BackupsExport,
	"GET /backups/{id}/files/{name}":     BackupsBrowse,
	"GET /backups/{id}/changes":          BackupsBrowse,
	"GET /backups/{id}/restore":          RunsRestore,
	"POST /backups/{id}/restore":         RunsRestore,
	"POST /restores":                     RunsRestore,

	"GET /schedules":                Anyone,
	"POST /schedules":               SchedulesWrite,
	"GET /new/schedule":             SchedulesWrite,
	"GET /schedules/{name}":         SchedulesRead,
	"GET /schedules/{name}/change":  SchedulesWrite,
	"POST /schedules/{name}/change": SchedulesWrite,
	"GET /schedules/{name}/delete":  SchedulesWrite,
	"POST /schedules/{name}/delete": SchedulesWrite,
	"POST /schedules/{name}/pause":  SchedulesWrite,
	"POST /schedules/{name}/resume": SchedulesWrite,
	"GET /schedules/{name}/run":     SchedulesWrite,
	"POST /schedules/{name}/run":    SchedulesWrite,
	"POST /approvals":               RunsRestore,
	"GET /approvals":                Anyone,
	"GET /approvals/{id}":           Anyone,
	"POST /approvals/{id}/approve":  ApprovalsGive,
	"POST /approvals/{id}/deny":     Anyone, // whoever asked may take it back
	"GET /tokens":                   TokensManage,
	"POST /tokens":                  TokensManage,
	"GET /new/token":                TokensManage,
	"GET /tokens/{id}":              TokensManage,
	"POST /tokens/{id}/revoke":      TokensManage,
	"GET /audit":                    AuditRead,
}

// MayUse reports whether the principal passes a route that wants that.
func (p Principal) MayUse(wants Permission) bool {
	switch wants {
	case Public:
		return true
	case Anyone:
		return p.Name != ""
	case "":
		return false
	default:
	}
	if slices.Contains(serverWidePermissions, wants) {
		return p.Name != "" && p.May(wants, ServerWide)
	}
	return p.Name != "" && p.MaySomewhere(wants)
}

// Permissions are all permissions that some role has, sorted.
func Permissions() []Permission {
	var all []Permission
	for _, list := range permissions {
		all = append(all, list...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// RolesWith are the roles that have the permission.
func RolesWith(perm Permission) []Role {
	return slices.DeleteFunc(Roles(), func(r Role) bool { return !r.Permits(perm) })
}
