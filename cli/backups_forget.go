package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/internal/units"
	"lockstep/retention"
	"lockstep/show"
)

const backupsForgetHelp = `Delete backups, for good: those that are named, or those that no --keep rule keeps.

Each --keep rule keeps that many of the newest verified backups, one per period;
--keep-within keeps all that are not older, --keep-tag all that were marked with
"backup --tag". Whatever the rules say, the newest
verified backup of a deployment stays, and so do backups that lockstep did not
make. --dry-run says what would go, and why the others stay. What object lock keeps
is refused with the date when it may be done; rules leave it for a later time.

  lockstep backups forget shop_20261122T144241Z --yes
  lockstep backups forget --keep-daily 7 --keep-weekly 5 --dry-run
  lockstep backups forget --deployment shop --keep-last 3 --keep-within 14d --yes

Exit codes: 0 deleted, or nothing to delete · 1 error · 2 usage.`

// forgetOptions are the flags of forget.
type forgetOptions struct {
	policy      retention.Policy
	within      string
	deployment  string
	dryRun, yes bool
}

func (i *invocation) backupsForgetCommand() *cobra.Command {
	var o forgetOptions
	c := &cobra.Command{
		Use: "forget ID…|--keep-RULE N", Short: "Delete backups", Long: backupsForgetHelp,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: i.completeBackups,
		RunE: func(c *cobra.Command, args []string) error {
			byRule := !lockstep.KeepRules(o.policy).Zero() || o.within != ""
			if err := o.check(args, byRule); err != nil {
				return err
			}
			return i.asking(c, func(ctx context.Context, svc lockstep.Service) error {
				if byRule {
					return i.forgetByRule(ctx, svc, o)
				}
				return i.forgetNamed(ctx, svc, args, o)
			})
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.IntVar(&o.policy.Last, "keep-last", 0, "keep the `N` newest")
	f.IntVar(&o.policy.Hourly, "keep-hourly", 0, "keep the newest of each of the last `N` hours that have one")
	f.IntVar(&o.policy.Daily, "keep-daily", 0, "… of the last `N` days")
	f.IntVar(&o.policy.Weekly, "keep-weekly", 0, "… of the last `N` weeks")
	f.IntVar(&o.policy.Monthly, "keep-monthly", 0, "… of the last `N` months")
	f.IntVar(&o.policy.Yearly, "keep-yearly", 0, "… of the last `N` years")
	f.StringVar(&o.within, "keep-within", "", "keep all that are not older than this `DURATION`, such as 14d")
	f.StringArrayVar(&o.policy.Tags, "keep-tag", nil, "keep all that were marked with this `TAG`; give it again for another one")
	f.StringVar(&o.deployment, "deployment", "", "with --keep rules: only backups of this `DEPLOYMENT`")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what would be deleted")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	return c
}

func (o *forgetOptions) check(args []string, byRule bool) error {
	p := o.policy
	switch {
	case len(args) == 0 && !byRule:
		return usage("`lockstep backups list` shows the ids", "backups forget: name a backup, or say which to keep")
	case len(args) > 0 && byRule:
		return usage("", "backups forget: name backups or give --keep rules, not both")
	case o.deployment != "" && !byRule:
		return usage("", "backups forget: --deployment goes with --keep rules")
	case min(p.Last, p.Hourly, p.Daily, p.Weekly, p.Monthly, p.Yearly) < 0:
		return usage("", "backups forget: a --keep rule is below 0")
	}
	if o.within == "" {
		return nil
	}
	within, err := units.ParseSpan(o.within)
	if err != nil {
		return usage("", "backups forget: --keep-within: %w", err)
	}
	o.policy.Within = within
	return nil
}

// forgetNamed deletes the named backups, after all of them were found.
func (i *invocation) forgetNamed(ctx context.Context, svc lockstep.Service, args []string, o forgetOptions) error {
	var ids []lockstep.BackupID
	for _, id := range args {
		b, err := oneBackup(ctx, svc, id)
		if err != nil {
			return err
		}
		ids = append(ids, b.ID)
	}
	if o.dryRun {
		fmt.Fprintf(i.Stdout, "would forget %s\n", show.Line(strings.Join(args, ", ")))
		return nil
	}
	stay, err := i.forget(ctx, svc, ids, o.yes)
	if err == nil {
		err = stay
	}
	return err
}

// forgetByRule deletes what no rule keeps, after showing it.
func (i *invocation) forgetByRule(ctx context.Context, svc lockstep.Service, o forgetOptions) error {
	backups, err := svc.Backups(ctx, o.deployment)
	if err != nil {
		return err
	}
	if len(backups) == 0 {
		if err := knownDeployment(ctx, svc, o.deployment); err != nil {
			return err
		}
	}
	decisions, err := retention.Keep(backups, o.policy, i.Now())
	if err != nil {
		return err
	}
	var ids []lockstep.BackupID
	for _, d := range decisions {
		if !d.Keep {
			ids = append(ids, d.Backup.ID)
		}
	}
	if err := i.showDecisions(decisions); err != nil || o.dryRun || len(ids) == 0 {
		return err
	}
	stay, err := i.forget(ctx, svc, ids, o.yes)
	if stay != nil { // the rules forget them when they may be
		i.Log.Warn(stay.Error(), "hint", lockstep.HintOf(stay))
	}
	return err
}

// decision is a retention.Decision as JSON shows it.
type decision struct {
	Backup  lockstep.BackupID `json:"backup"`
	Keep    bool              `json:"keep"`
	Reasons []string          `json:"reasons"`
}

func (i *invocation) showDecisions(decisions []retention.Decision) error {
	if i.JSON() {
		out := []decision{}
		for _, d := range decisions {
			out = append(out, decision{d.Backup.ID, d.Keep, show.List(d.Reasons)})
		}
		return i.WriteJSON(out)
	}
	if len(decisions) == 0 {
		fmt.Fprintln(i.Stdout, "no backups")
		return nil
	}
	t := show.NewTable("BACKUP", "AGE", "DATA", "DECISION", "WHY")
	for _, d := range decisions {
		word := show.Cell{Text: "keep", Paint: i.Out.Good}
		if !d.Keep {
			word = show.Cell{Text: "forget", Paint: i.Out.Bad}
		}
		t.Add(d.Backup.ID, show.Age(i.Now().Sub(d.Backup.StartedAt)), show.Cell{Text: string(d.Backup.Data), Paint: i.Out.State}, word, strings.Join(d.Reasons, ", "))
	}
	i.Table(t)
	return nil
}

// forget deletes backups once that was confirmed. What the repository keeps for now stays,
// which is said with the first of it.
func (i *invocation) forget(ctx context.Context, svc lockstep.Service, ids []lockstep.BackupID, yes bool) (stay, err error) {
	last, err := lastOnes(ctx, svc, ids)
	if err != nil {
		return nil, err
	}
	if err := i.mayDestroy(ctx, yes, fmt.Sprintf("backups forget deletes %s for good%s", named(ids), last)); err != nil {
		return nil, err
	}
	var gone []lockstep.BackupID
	for _, id := range ids {
		err := svc.Forget(ctx, id)
		switch {
		case lockstep.KindOf(err) == lockstep.KindRetained:
			if stay == nil {
				stay = err
			}
			continue
		case err != nil:
			return stay, err
		}
		gone = append(gone, id)
		i.Log.Info("forgot " + string(id))
	}
	if len(gone) < len(ids) {
		stay, last = fmt.Errorf("%d of %d backups stay: %w", len(ids)-len(gone), len(ids), stay), ""
	}
	if !i.JSON() && len(gone) > 0 {
		fmt.Fprintf(i.Stdout, "forgot %s%s\n", named(gone), last)
	}
	return stay, nil
}

// maxNamedBackups is how many backups are named one by one.
const maxNamedBackups = 4

// named are backups in a sentence.
func named(ids []lockstep.BackupID) string {
	if len(ids) > maxNamedBackups {
		return show.Plural(len(ids), "backup")
	}
	var names []string
	for _, id := range ids {
		names = append(names, string(id))
	}
	return strings.Join(names, ", ")
}

// lastOnes says of which deployments no backup that can be restored is left
// without these.
func lastOnes(ctx context.Context, svc lockstep.Service, ids []lockstep.BackupID) (string, error) {
	backups, err := svc.Backups(ctx, "")
	if err != nil {
		return "", err
	}
	loses, left := map[string]bool{}, map[string]bool{}
	for _, b := range backups {
		switch gone := slices.Contains(ids, b.ID); {
		case b.Data != lockstep.DataVerified:
		case gone:
			loses[b.Deployment] = true
		default:
			left[b.Deployment] = true
		}
	}
	var none []string
	for _, d := range slices.Sorted(maps.Keys(loses)) {
		if !left[d] {
			none = append(none, d)
		}
	}
	if len(none) == 0 {
		return "", nil
	}
	return fmt.Sprintf("; no verified backup of %s is left then", strings.Join(none, ", ")), nil
}
