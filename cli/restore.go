package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const restoreHelp = `Restore a deployment from a backup. This replaces the deployment's data.

Every artifact is read, checked and placed on its instance before the first
restore lock; only then is anything changed. Artifacts find their jobs by group,
index and job, so that a rebuilt system may have new addresses.

On a terminal it shows what would be replaced and asks for the deployment's
name; elsewhere it wants --yes.

  lockstep restore shop latest                        the newest verified backup
  lockstep restore shop shop_20261122T144241Z --yes
  lockstep restore shop latest --job postgres         a part
  lockstep restore shop latest --instance db/0 --without cache/0
                                                      … although cache/0, which
                                                      has to be locked, is dead
  lockstep restore staging latest --from shop         another deployment's backup
  lockstep restore shop latest --map db/0=db/1        into other slots
  lockstep restore shop latest --ask "disk died"      where a second person must
                                                      approve: see approvals

Exit codes are bits: 0 restored · 1 error · 4 a lock failed · 8 an unlock failed ·
16 something was left on an instance · 32 something may still be locked ·
2 usage. See ` + "`lockstep help exit-codes`."

// restoreOptions are the flags that say what of which backup goes where.
type restoreOptions struct {
	backup          string
	jobs, instances []string
	without         []string
	from            string
	maps            []string
	allowIncomplete bool
	yes             bool
	ask, approval   string
}

func (o *restoreOptions) register(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&o.jobs, "job", nil, "restore only this `JOB`; may be repeated")
	f.StringArrayVar(&o.instances, "instance", nil, "restore only this instance, as `GROUP/ID`; may be repeated")
	f.StringArrayVar(&o.without, "without", nil, "leave this dead instance out, as `GROUP/ID`: it is neither contacted nor locked; may be repeated")
	f.StringVar(&o.from, "from", "", "the backup is one of this other `DEPLOYMENT`")
	f.StringArrayVar(&o.maps, "map", nil, "put a slot's artifacts elsewhere, as `OLDGROUP/INDEX=NEWGROUP/INDEX`; may be repeated")
	f.BoolVar(&o.allowIncomplete, "allow-incomplete", false, "take a backup that is not verified")
}

func (o *restoreOptions) any() bool {
	return len(o.jobs)+len(o.instances)+len(o.without)+len(o.maps) > 0 || o.from != "" || o.allowIncomplete
}

// request is the request that the flags make.
func (o *restoreOptions) request(deployment string, backup lockstep.BackupID) (lockstep.Request, error) {
	req := lockstep.Request{
		Operation: lockstep.OperationRestore, Deployment: deployment, Backup: backup,
		Jobs: o.jobs, From: o.from, AllowIncomplete: o.allowIncomplete,
	}
	var err error
	if req.Instances, err = instancesOf("instance", o.instances); err != nil {
		return req, err
	}
	if req.Without, err = instancesOf("without", o.without); err != nil {
		return req, err
	}
	for _, m := range o.maps {
		from, to, ok := strings.Cut(m, "=")
		if !ok || !strings.Contains(from, "/") || !strings.Contains(to, "/") {
			return req, usage("write it as OLDGROUP/INDEX=NEWGROUP/INDEX, for example --map db/0=database/0", "restore: --map %q cannot be read", m)
		}
		if req.Map == nil {
			req.Map = map[string]string{}
		}
		req.Map[from] = to
	}
	return req, nil
}

func instancesOf(flag string, names []string) ([]lockstep.InstanceID, error) {
	var out []lockstep.InstanceID
	for _, name := range names {
		if !strings.Contains(name, "/") {
			return nil, usage("write it as GROUP/ID, for example --"+flag+" db/0", "restore: --%s %q names no instance", flag, name)
		}
		out = append(out, lockstep.InstanceID(name))
	}
	return out, nil
}

func (i *invocation) restoreCommand() *cobra.Command {
	var o restoreOptions
	var w waiting
	c := &cobra.Command{
		Use: "restore DEPLOYMENT BACKUP|latest", Short: "Restore a deployment from a backup", Long: restoreHelp,
		Args: wants("DEPLOYMENT", "BACKUP (an id, or latest)"), ValidArgsFunction: i.completeRestore,
		RunE: func(c *cobra.Command, args []string) error {
			req, err := o.request(args[0], lockstep.BackupID(args[1]))
			if err != nil {
				return err
			}
			if err := w.check(i, "restore"); err != nil {
				return err
			}
			if o.ask != "" {
				return i.askApproval(c, req, o.ask)
			}
			req.Approval = o.approval
			if !o.yes && !i.inTTY {
				return usage("add --yes if you mean it; `lockstep plan "+args[0]+" --restore "+args[1]+"` shows what it would do",
					"restore: it replaces the data of %q, and there is no terminal to ask on", args[0])
			}
			return i.restore(c.Context(), req, o.yes, w)
		},
	}
	o.register(c)
	c.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	c.Flags().StringVar(&o.ask, "ask", "", "do not begin it: ask a second person, for this `REASON`")
	c.Flags().StringVar(&o.approval, "approval", "", "the approval that a second person gave, by its `ID`")
	w.register(c)
	return c
}

func (i *invocation) restore(ctx context.Context, req lockstep.Request, yes bool, w waiting) error {
	svc, err := i.service(ctx)
	if err != nil {
		return err
	}
	if !yes {
		if err := i.confirmRestore(ctx, svc, &req); err != nil {
			return err
		}
	}
	return i.start(ctx, svc, req, w)
}

// confirmRestore shows what would be replaced and has the deployment's name
// typed. What was shown is what is run: the backup and the plan are pinned.
func (i *invocation) confirmRestore(ctx context.Context, svc lockstep.Service, req *lockstep.Request) error {
	ctx, stop := i.interruptible(ctx)
	defer stop()
	owner := req.Deployment
	if req.From != "" {
		owner = req.From
	}
	backup, err := svc.Backup(ctx, owner, req.Backup)
	if err != nil {
		return err
	}
	req.Backup = backup.ID
	preview := *req
	preview.Operation, preview.ForRestore = lockstep.OperationPlan, true
	rep, err := svc.Plan(ctx, preview)
	if err != nil {
		return err
	}
	req.PlanDigest = rep.Digest
	i.Console.WriteString(i.replaceText(backup, rep.Plan))
	return i.ask(ctx, req.Deployment)
}

// replaceText says which data a restore would replace with what.
func (i *invocation) replaceText(b lockstep.Backup, p lockstep.Plan) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s replaces the data of %s with backup %s,\ntaken %s (%s), %s.\n\n",
		i.Err.Strong("This restore"), i.Err.Strong(show.Line(p.Deployment)), show.Line(string(b.ID)),
		show.When(b.StartedAt), show.Age(i.Now().Sub(b.StartedAt)), i.Err.State(string(b.Data)))
	for _, k := range b.Skipped {
		fmt.Fprintf(&s, "%s %s is newer, but %s: %s\n", i.Err.Warn("skipped:"), show.Line(string(k.Backup)), k.Data, show.Line(k.Why))
	}
	if b.Proof != nil {
		fmt.Fprintf(&s, "Its manifest is %s.\n", show.Line(b.Proof.String()))
	}
	t := show.NewTable("INSTANCE", "JOB", "ARTIFACT", ">SIZE")
	for _, a := range p.Artifacts {
		bytes := "-"
		if kept, ok := b.Named(a.Name); ok {
			bytes = show.Size(kept.Bytes)
		}
		t.Add(a.Instance, a.Slot.Job, a.Name, bytes)
	}
	t.Write(&s, i.Err)
	for _, r := range b.Reasons {
		fmt.Fprintf(&s, "%s %s\n", i.Err.Warn("not verified:"), show.Line(r))
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&s, "%s %s\n", i.Err.Warn("warning:"), show.Line(w))
	}
	return s.String()
}
