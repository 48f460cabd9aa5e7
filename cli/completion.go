package cli

import (
	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const completionHelp = `Print a script that completes lockstep's commands, flags, deployments, runs and
backups in your shell.

  source <(lockstep completion bash)
  lockstep completion zsh > "${fpath[1]}/_lockstep"
  lockstep completion fish > ~/.config/fish/completions/lockstep.fish

Exit codes: 0 · 2 usage.`

func (i *invocation) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return local(&cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Print the completion script of a shell", Long: completionHelp,
		Args: wants("SHELL"), ValidArgs: shells, DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(i.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(i.Stdout)
			case "fish":
				return root.GenFishCompletion(i.Stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(i.Stdout)
			}
			return usage("bash, zsh, fish or powershell", "completion: no shell %q", args[0])
		},
	})
}

// Completions never complain: where something cannot be found out, there is
// nothing to complete.

const noFiles = cobra.ShellCompDirectiveNoFileComp

func (i *invocation) completing(c *cobra.Command) (lockstep.Service, bool) {
	if i.settle() != nil {
		return nil, false
	}
	svc, err := i.service(c.Context())
	return svc, err == nil
}

func (i *invocation) completeDeployments(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	svc, ok := i.completing(c)
	if !ok || len(args) > 0 {
		return nil, noFiles
	}
	infos, err := svc.Deployments(c.Context())
	if err != nil {
		return nil, noFiles
	}
	var names []string
	for _, d := range infos {
		names = append(names, d.Name)
	}
	return names, noFiles
}

func (i *invocation) completeRuns(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	svc, ok := i.completing(c)
	if !ok || len(args) > 0 {
		return nil, noFiles
	}
	runs, err := svc.Runs(c.Context(), lockstep.RunFilter{Limit: 50})
	if err != nil {
		return nil, noFiles
	}
	ids := []string{latestRun + "\tthe newest one"}
	for _, r := range runs {
		ids = append(ids, string(r.ID)+"\t"+show.Line(string(r.Operation)+" of "+r.Deployment+", "+string(r.State)))
	}
	return ids, noFiles | cobra.ShellCompDirectiveKeepOrder
}

// completeFlags makes what flags of a fixed set of values, or of names that only a
// person knows, complete: never file names.
func completeFlags(c *cobra.Command, values map[string][]string) {
	for flag, of := range values {
		if c.Flags().Lookup(flag) == nil {
			continue
		}
		// It fails for flags alone that are not there.
		_ = c.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return of, noFiles
		})
	}
	for _, sub := range c.Commands() {
		completeFlags(sub, values)
	}
}

// flagValues are what may stand after flags. Of those without values there is
// nothing to propose.
func flagValues() map[string][]string {
	return map[string][]string{
		"state":      {"running", "abandoned", "succeeded", "failed", "canceled", "interrupted"},
		"operation":  {"backup", "restore", "check", "cleanup", "plan"},
		"format":     {"table", "json"},
		"log-format": {"text", "json"},
		"overlap":    {"skip", "wait"},
		"missed":     {"catch-up", "skip"},
		"job":        nil, "instance": nil, "map": nil, "plan": nil, "approval": nil, "ask": nil, "reason": nil, "limit": nil,
		"cron": nil, "zone": nil, "jitter": nil, "server": nil, "repository": nil,
	}
}

// completeSteps proposes the steps with output of the run that is named before.
func (i *invocation) completeSteps(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	svc, ok := i.completing(c)
	if !ok || len(args) != 1 {
		return nil, noFiles
	}
	id, err := runNamed(c.Context(), svc, args[0])
	if err != nil {
		return nil, noFiles
	}
	run, err := svc.Run(c.Context(), id)
	if err != nil || run.Plan == nil {
		return nil, noFiles
	}
	var steps []string
	for _, w := range run.Plan.Waves {
		for _, s := range w.Steps {
			if s.Script != nil && run.Steps[s.ID] != nil {
				steps = append(steps, string(s.ID))
			}
		}
	}
	return steps, noFiles | cobra.ShellCompDirectiveKeepOrder
}

func (i *invocation) completeBackups(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	svc, ok := i.completing(c)
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	if !ok {
		return nil, noFiles
	}
	return i.backupIDs(c, svc, ""), noFiles | cobra.ShellCompDirectiveKeepOrder
}

func (i *invocation) completeRestore(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return i.completeDeployments(c, args, word)
	}
	svc, ok := i.completing(c)
	if !ok {
		return nil, noFiles
	}
	return append([]string{"latest"}, i.backupIDs(c, svc, args[0])...), noFiles | cobra.ShellCompDirectiveKeepOrder
}

func (i *invocation) backupIDs(c *cobra.Command, svc lockstep.Service, deployment string) []string {
	backups, err := svc.Backups(c.Context(), deployment)
	if err != nil {
		return nil
	}
	var ids []string
	for _, b := range backups {
		ids = append(ids, string(b.ID)+"\t"+string(b.Data))
	}
	return ids
}
