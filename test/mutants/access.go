package main

const (
	inAccess = "./access"
	inAudit  = "./auditlog"
)

// accessMutants are bugs in who may do what, and in the log of who did.
var accessMutants = []mutant{
	{
		Name: "hints: the configuration is not named again", File: "show/typed.go",
		Why: "a command that is pasted works on another deployment of that name",
		Old: "	if t.look.Config == \"\" {\n		return hint", New: "	if true {\n		return hint",
		Test: "./show -run HintsNameTheConfiguration",
	},
	{
		Name: "access: a token for no time lives for the default", File: "cli/tokens.go",
		Why: "who wants a token that is over at once gets one for 90 days",
		Old: "	if life < time.Second {", New: "	if life < 0 {",
		Test: "./cli -run TokenSeconds",
	},
	{
		Name: "access: whoever may see may do", File: "access/guard.go", Test: inAccess,
		Why: "a viewer restores",
		Old: "	if p.May(perm, deployment) {\n		return p, nil\n	}\n", New: "	if p.May(perm, deployment) || p.May(DeploymentsRead, deployment) {\n		return p, nil\n	}\n",
	},
	{
		Name: "access: a pattern is not looked at", File: "access/principal.go", Test: inAccess,
		Why: "a token for one deployment opens all",
		Old: "		if g.Role.Permits(perm) && g.covers(deployment) {\n", New: "		if g.Role.Permits(perm) {\n",
	},
	{
		Name: "access: server-wide by any grant", File: "access/principal.go", Test: inAccess,
		Why: "the admin of one deployment makes tokens for all",
		Old: "	if deployment == ServerWide {\n		return false\n	}\n", New: "	if deployment == ServerWide {\n		return true\n	}\n",
	},
	{
		Name: "access: metrics for one deployment's auditor", File: "access/routes.go", Test: inAccess,
		Why: "metrics of all deployments are shown to whoever may see one",
		Old: "		return p.Name != \"\" && p.May(wants, ServerWide)\n", New: "		return p.Name != \"\" && p.MaySomewhere(wants)\n",
	},
	{
		Name: "access: forbidden in place of not found", File: "access/guard.go", Test: inAccess,
		Why: "names of deployments can be guessed",
		Old: "	if deployment != ServerWide && !p.May(DeploymentsRead, deployment) {\n		return p, errNoDeployment(deployment)\n	}\n", New: "",
	},
	{
		Name: "access: a route that is not in the table", File: "access/authorizer.go", Test: inAccess,
		Why: "a new route is open until somebody thinks of it",
		Old: "	case route != \"\" && !ok:\n", New: "	case false:\n",
	},
	{
		Name: "access: nobody without an error", File: "access/authorizer.go", Test: inAccess,
		Why: "an authenticator with a defect lets everybody in",
		Old: "	case p.Name == \"\":\n		return nil, \"\", errUnknownCredential()\n", New: "",
	},
	{
		Name: "access: a session opens the API", File: "access/authorizer.go", Test: inAccess,
		Why: "a page of another site reaches the API with the browser's cookie",
		Old: "	return FirstOf(authorizer.cfg.Pages).Authenticate(r)\n", New: "	return FirstOf(authorizer.cfg.Pages, authorizer.cfg.API).Authenticate(r)\n",
	},
	{
		Name: "access: done without a log", File: "access/guard.go", Test: inAccess,
		Why: "a restore leaves no trace when the disk is full",
		Old: "		if !x.unlocks {\n", New: "		if false {\n",
	},
	{
		Name: "access: an unlock waits for the log", File: "access/guard.go", Test: inAccess,
		Why: "production stays locked because a disk is full",
		Old: "		if !x.unlocks {\n", New: "		if true {\n",
	},
	{
		Name: "access: logged after it was done", File: "access/guard.go", Test: inAccess,
		Why: "a crash in between leaves no trace",
		Old: "	err := x.do()\n	if err != nil {\n		why := err.Error()",
		New: "	err := x.do()\n	if err == nil {\n		return g.record(ctx, p, x.entry)\n	}\n	if err != nil {\n		why := err.Error()",
	},
	{
		Name: "access: the client says who asks", File: "access/guard_act.go", Test: inAccess,
		Why: "the journal names somebody else",
		Old: "	req.By, req.Proven = p.String(), false\n", New: "	req.Proven = false\n",
	},
	{
		Name: "access: the client says that a backup is proven", File: "access/guard_act.go", Test: inAccess,
		Why: "a restore of damaged data is not stopped before it locks",
		Old: "	req.By, req.Proven = p.String(), false\n", New: "	req.By = p.String()\n",
	},
	{
		Name: "access: data goes elsewhere", File: "access/guard_act.go", Test: inAccess,
		Why: "another deployment's data is had by restoring it over one's own",
		Old: "	if req.From != \"\" {\n		if _, err := g.allow(ctx, perm, req.From); err != nil {\n			return err\n		}\n	}\n", New: "",
	},
	{
		Name: "access: one is two people", File: "access/approvals.go", Test: inAccess,
		Why: "whoever asks for a restore approves it",
		Old: "	case yes && !p.Other(x.asker):\n", New: "	case false:\n",
	},
	{
		Name: "access: a token is another person", File: "access/principal.go", Test: inAccess,
		Why: "whoever makes a token approves their own restore with it",
		Old: "	return p.Name != \"\" && q.Name != \"\" && p.Name != q.Name &&\n		p.issuerName() != q.Name && q.issuerName() != p.Name\n",
		New: "	return p.Name != \"\" && q.Name != \"\" && p.Name != q.Name\n",
	},
	{
		Name: "access: an approval of something else", File: "access/approval_use.go", Test: inAccess,
		Why: "the approval of one job restores all of them",
		Old: "	if !bytes.Equal(have, want) {\n", New: "	if false && !bytes.Equal(have, want) {\n",
	},
	{
		Name: "access: the approved plan is not forced", File: "access/approval_use.go", Test: inAccess,
		Why: "what was changed since it was approved is restored",
		Old: "	req.Backup, req.PlanDigest = x.Request.Backup, x.PlanDigest\n", New: "	req.Backup = x.Request.Backup\n",
	},
	{
		Name: "access: an approval is used twice", File: "state/sqlstore/approvals.go", Test: "./state/sqlite",
		Why: "one approval restores again and again",
		Old: "		case run:\n			return nil\n		case \"\":\n", New: "		case run:\n			return nil\n		default:\n",
	},
	{
		Name: "access: an approval is given back under a run that begins", File: "access/approval_use.go", Test: inAccess,
		Why: "one approval restores twice, for who asks twice at once",
		Old: "	a.spending.Lock()\n	defer a.spending.Unlock()\n", New: "",
	},
	{
		Name: "access: an approval is given back under a run that another server begins", File: "access/approval_use.go", Test: inAccess,
		Why: "one approval restores twice, for who asks two servers at once",
		Old: "	done, err := a.cfg.Alone(ctx)\n", New: "	done, err := func() {}, error(nil)\n",
	},
	{
		Name: "access: a server with another pepper", File: "access/pepper.go", Test: inAccess + " -run Pepper",
		Why: "each server refuses the tokens of the other, and who asks is let in by chance",
		Old: "	if !hmac.Equal(kept, mine) {\n", New: "	if len(kept) != len(mine) {\n",
	},
	{
		Name: "access: a server without the pepper makes one", File: "access/pepper.go", Test: inAccess + " -run Pepper",
		Why: "the file stays, and the right one is never put there",
		Old: "kept != nil && errors.Is(err, fs.ErrNotExist)", New: "kept == nil && errors.Is(err, fs.ErrNotExist) && false",
	},
	{
		Name: "access: an approval is good for ever", File: "access/approval_use.go", Test: inAccess,
		Why: "last month's approval restores today",
		Old: "	case !now.Before(k.ExpiresAt):\n		return ApprovalExpired\n", New: "",
	},
	{
		Name: "access: an expired token", File: "access/tokens.go", Test: inAccess,
		Why: "tokens that leaked years ago are good",
		Old: "return t.RevokedAt.IsZero() && now.Before(t.ExpiresAt) }", New: "return t.RevokedAt.IsZero() }",
	},
	{
		Name: "access: a revoked token", File: "access/tokens.go", Test: inAccess,
		Why: "revoking does nothing",
		Old: "return t.RevokedAt.IsZero() && now.Before(t.ExpiresAt) }", New: "return now.Before(t.ExpiresAt) }",
	},
	{
		Name: "access: an unknown token costs less", File: "access/tokens.go", Test: inAccess,
		Why: "the time of an answer tells which ids there are",
		Old: "	if missing {\n		kept = ", New: "	if missing {\n		return Principal{}, errUnknownCredential()\n	}\n	if missing {\n		kept = ",
	},
	{
		Name: "access: guessing is free", File: "access/tokens.go", Test: inAccess,
		Why: "nobody is slowed down",
		Old: "		t.cfg.Throttle.Failed(addr, text.id)\n", New: "",
	},
	{
		Name: "access: a session keeps what its token lost", File: "access/sessions.go", Test: inAccess,
		Why: "a revoked token goes on in a browser",
		Old: "	if x.Token != \"\" {\n", New: "	if false {\n",
	},
	{
		Name: "access: the session's id is kept as it is", File: "access/sessions.go", Test: inAccess,
		Why: "a stolen database opens everybody's session",
		Old: "return s.cfg.Pepper.hash(\"session\", \"\", id) }", New: "return id }",
	},
	{
		Name: "access: an ID token for somebody else", File: "access/oidc.go", Test: inAccess,
		Why: "a token for another program opens this one",
		Old: "&oidc.Config{ClientID: o.cfg.ClientID, ", New: "&oidc.Config{SkipClientIDCheck: true, ",
	},
	{
		Name: "access: a login without a state", File: "access/oidc_login.go", Test: inAccess,
		Why: "a browser is logged in as somebody else by a link",
		Old: "	if !ok || subtle.ConstantTimeCompare([]byte(state), []byte(l.State)) != 1 {\n", New: "	if _ = state; !ok {\n",
	},
	{
		Name: "access: a login without a nonce", File: "access/oidc_login.go", Test: inAccess,
		Why: "a stolen ID token logs in",
		Old: "	if err == nil && subtle.ConstantTimeCompare([]byte(nonce), []byte(l.Nonce)) != 1 {\n", New: "	if _ = nonce; false {\n",
	},
	{
		Name: "access: a certificate that nobody verified", File: "access/mtls.go", Test: inAccess,
		Why: "anybody makes themselves a certificate",
		Old: "r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || ", New: "r.TLS == nil || ",
	},
	{
		Name: "access: a schedule does what its maker may not", File: "access/guard_schedules.go", Test: inAccess,
		Why: "who may make schedules deletes backups with one",
		Old: "	p, err := s.allow(ctx, x.Deployment, SchedulesWrite, PermissionOfScheduled(x.Operation))\n", New: "	p, err := s.allow(ctx, x.Deployment, SchedulesWrite)\n",
	},
	{
		Name: "scheduler: a change undoes one that was not seen", File: "scheduler/schedules.go", Test: "./scheduler -run TestReplace",
		Why: "backups that somebody chose to keep for longer are deleted",
		Old: "	case found && seen != old.Digest():\n", New: "	case false:\n",
	},
	{
		Name: "scheduler: a schedule that was deleted is back", File: "scheduler/schedules.go", Test: "./scheduler -run TestReplace",
		Why: "a forget that somebody ended goes on",
		Old: "	case !found && seen != \"\":\n", New: "	case false:\n",
	},
	{
		Name: "access: another plan is approved than was shown", File: "access/approvals.go", Test: "./ui -run TestAnApprovalIsAskedFor",
		Why: "the second person says yes to what the first one never looked at",
		Old: "	if seen != \"\" && seen != rep.Digest {", New: "	if false {",
	},
	{
		Name: "ui: one click deletes what a schedule does not keep", File: "ui/schedules.go", Test: "./ui -run TestAForgetIsNotRun",
		Why: "backups are deleted that nobody meant to",
		Old: "		if x.Operation == lockstep.ScheduledForget {", New: "		if x.Operation == \"\" {",
	},
	{
		Name: "ui: a restore of nothing is one of everything", File: "ui/restore.go", Test: "./ui -run TestARestoreIsChosenByBoxes",
		Why: "whoever takes every tick away replaces all data",
		Old: "	case scope == scopeTicked && (", New: "	case false && (",
	},
	{
		Name: "ui: everything is restored though a tick was taken away", File: "ui/restore.go", Test: "./ui -run TestARestoreIsChosenByBoxes",
		Why: "a job that was to stay as it is is replaced",
		Old: "	case scope == scopeEverything && (", New: "	case false && (",
	},
	{
		Name: "ui: lost runs are not told", File: "ui/held.go", Test: "./ui -run TestALostRunIsNamed",
		Why: "what a lost run has locked stays locked, and no page says so",
		Old: "	for _, l := range lost {\n", New: "	for _, l := range lost[:0] {\n",
	},
	{
		Name: "metrics: a lost run has locked nothing", File: "serve/telemetry.go", Test: "./serve -run TestALostRunMayHaveLocked",
		Why: "the loudest alarm is silent while nobody knows what is locked",
		Old: "		if deployment == \"\" || r.Deployment == deployment {\n", New: "		if false {\n",
	},
	{
		Name: "access: a login leads elsewhere", File: "ui/login.go", Test: "./ui",
		Why: "a link to the login ends on another site's copy of it",
		Old: "strings.HasPrefix(next, \"//\") || ", New: "",
	},
	{
		Name: "audit: the chain is not looked at", File: "auditlog/verify.go", Test: inAudit,
		Why: "a changed record is not found",
		Old: "	case rec.Prev != prev.String():\n", New: "	case false:\n",
	},
	{
		Name: "audit: heads are not looked at", File: "auditlog/verify.go", Test: inAudit,
		Why: "a log that was written anew is not found",
		Old: "			if h.Hash != prev.String() {\n", New: "			if false {\n",
	},
	{
		Name: "audit: a cut end", File: "auditlog/verify.go", Test: inAudit,
		Why: "the last records are removed unseen",
		Old: "	if r.Signed > r.Records {\n", New: "	if false {\n",
	},
	{
		Name: "audit: a torn line stays", File: "auditlog/log.go", Test: inAudit,
		Why: "a crash makes the next record unreadable",
		Old: "	if err := l.file.Truncate(t.size); err != nil {\n		return err\n	}\n	return l.write(", New: "	return l.write(",
	},
	{
		Name: "audit: two writers without a lock", File: "auditlog/log.go", Test: inAudit,
		Why: "the command line and the server break the chain",
		Old: "		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)\n", New: "		err := error(nil)\n",
	},
	{
		Name: "audit: a log that got shorter is written on", File: "auditlog/log.go", Test: inAudit,
		Why: "whoever cuts it off is not noticed",
		Old: "		return fmt.Errorf(\"it had %d bytes and has %d: records were removed\", l.tail.size, info.Size())\n", New: "		l.tail.size = info.Size()\n		return nil\n",
	},
	{
		Name: "api: a schedule is set over whatever there is", File: "api/schedules.go", Test: "./api -run TestSetSchedule_OverWhatWasSeen",
		Why: "what somebody else has changed is undone without a word",
		Old: "case in.Match != \"\":", New: "case in.Match == \"*\":",
	},
	{
		Name: "an identity forgets what is half restored", File: "serve/known.go", Test: "./cli -run TestScripts$/^moved$",
		Why: "a half restored system gives a good backup once its file has an identity",
		Old: "k.Open = half != \"\"", New: "k.Open = half == \"never\"",
	},
}
