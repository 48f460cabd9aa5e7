package main

const (
	inAPI    = "./api"
	inClient = "./api/client"
	inServer = "./server"
	inApp    = "./app -run Chosen|Events_"
)

// serverMutants are bugs in how a server is asked and how it leaves its runs.
var serverMutants = []mutant{
	{
		Name: "api: a deadline stays on the connection", File: "api/api.go", Test: "./api -run CutShort",
		Why: "a run that takes more than five seconds to begin is refused, and so is all that is asked on that connection afterwards",
		Old: "	op.BodyReadTimeout = -1\n", New: "",
	},
	{
		Name: "api: any request under a key", File: "api/idempotency.go", Test: inAPI,
		Why: "another request under an old key is taken for done",
		Old: "	if kept.Digest != mine.Digest {\n", New: "	if kept.Run == \"\" {\n",
	},
	{
		Name: "api: a key that is not kept", File: "api/runs.go", Test: inAPI,
		Why: "a request that is sent again begins a second run",
		Old: "		req.ID = id\n", New: "		_ = id\n",
	},
	{
		Name: "app: a chosen id begins again", File: "app/chosen.go", Test: inApp,
		Why: "a request that is sent again after the run's end begins a second run",
		Old: "	if len(events) > 0 {\n		return true, nil\n	}\n", New: "	if len(events) < 0 {\n		return true, nil\n	}\n",
	},
	{
		Name: "api: cleanups are counted", File: "api/runs.go", Test: inAPI,
		Why: "a flood keeps a deployment from being unlocked",
		Old: "	if req.Operation == lockstep.OperationCleanup {\n		return nil\n	}\n", New: "",
	},
	{
		Name: "api: bodies nest without end", File: "api/json.go", Test: inAPI + " -run Depth",
		Why: "a small body costs much memory",
		Old: "	if depth(data) > maxDepth {\n", New: "	if depth(data) < 0 {\n",
	},
	{
		Name: "api: pages overlap", File: "api/runs.go", Test: inAPI,
		Why: "a list has runs twice",
		Old: "		out.Next = string(runs[in.Limit-1].ID)\n", New: "		out.Next = string(runs[max(0, in.Limit-2)].ID)\n",
	},
	{
		Name: "client: begins anew after a lost connection", File: "api/client/events.go", Test: inClient,
		Why: "events are told twice",
		Old: "		w.after = e.Seq\n	}\n	w.done", New: "	}\n	w.done",
	},
	{
		Name: "client: a new key for each try", File: "api/client/ask.go", Test: inClient,
		Why: "a lost answer begins a second run",
		Old: "		req.Header[name] = values\n", New: "		req.Header[name] = []string{values[0] + time.Now().String()}\n",
	},
	{
		Name: "client: a token in clear", File: "api/client/client.go", Test: inClient,
		Why: "whoever is between reads the token",
		Old: "base.Scheme == \"http\" && cfg.Token != \"\" && !Loopback(base)", New: "base.Scheme == \"\"",
	},
	{
		Name: "client: redirects are followed", File: "api/client/client.go", Test: inClient,
		Why: "whoever redirects is asked in its place",
		Old: "		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },\n", New: "",
	},
	{
		Name: "server: beyond loopback in clear", File: "server/server.go", Test: inServer + " -run Listen",
		Why: "tokens are sent in clear",
		Old: "	if encrypted || ok && tcp.IP.IsLoopback() {\n", New: "	if encrypted || ok && tcp.IP != nil {\n",
	},
	{
		Name: "server: a reader may take for ever", File: "server/handler.go", Test: inServer + " -run Reader",
		Why: "readers that do not read use up what there is",
		Old: "time.Now().Add(a.patience)", New: "time.Time{}",
	},
	{
		Name: "server: a stop cancels a restore", File: "server/drain.go", Test: inServer + " -run Drain",
		Why: "half a restore, because of an upgrade",
		Old: "		return attempted(run, lockstep.StageLock) || attempted(run, lockstep.StageWork)\n", New: "		return false\n",
	},
	{
		Name: "server: a stop leaves locks", File: "server/drain.go", Test: inServer + " -run Drain",
		Why: "production stands still until the deadline of a stop",
		Old: "		return attempted(run, lockstep.StageUnlock)\n", New: "		return true\n",
	},
	{
		Name: "server: anybody says where they come from", File: "server/proxy.go", Test: inServer + " -run FromBehind",
		Why: "wrong tokens are never slowed down, and the audit log has addresses that were made up",
		Old: "	if err != nil || !trusted(proxies, at) {\n		return\n", New: "	if err != nil {\n		return\n",
	},
	{
		Name: "server: a stream outlives its token", File: "server/handler.go", Test: inServer + " -run StreamEnds",
		Why: "who was shut out goes on watching",
		Old: "				end(err)\n				return\n", New: "",
	},
	{
		Name: "server: one dead instance keeps all waiting", File: "server/settle.go", Test: inServer + " -run SettleFor",
		Why: "no deployment is backed up for hours, because an instance of another one is gone",
		Old: "	case <-time.After(atMost):\n", New: "	case <-time.After(atMost * 1000):\n",
	},
	{
		Name: "server: ready again after a stop", File: "server/server.go", Test: inServer + " -run States",
		Why: "a run begins in a process that is about to end",
		Old: "s.state.CompareAndSwap(starting, ready)", New: "s.state.Store(ready)",
	},
	{
		Name: "app: each watcher reads the journal", File: "app/hub.go", Test: inApp,
		Why: "a thousand watchers slow a run down",
		Old: "		h.feeds[id] = f\n", New: "",
	},
	{
		Name: "api: what a stop cuts short is a defect", File: "api/problem.go", Test: "./api -run ARequestThatIsCutShort",
		Why: "a client gives up in a rolling restart, where another server would have answered",
		Old: "	case errors.Is(err, context.Canceled): // who asked", New: "	case false: // who asked",
	},
}
