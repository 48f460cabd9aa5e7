package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// globalFlags are those of every command.
type globalFlags struct {
	config string
	server string
	// repository is where the one is that is used in place of the configuration's own;
	// "" is that one.
	repository string
	output     string
	logFormat  string
	verbose    bool
	noColor    bool
}

func (f globalFlags) check() error {
	if !slices.Contains([]string{"table", "json"}, f.output) {
		return usage("-o table or -o json", "unknown output %q", f.output)
	}
	if !slices.Contains([]string{"text", "json"}, f.logFormat) {
		return usage("--log-format text or --log-format json", "unknown log format %q", f.logFormat)
	}
	return nil
}

const rootHelp = `Lockstep backs up and restores a whole distributed system as one thing.

A deployment is a set of instances that carry jobs; jobs ship scripts that make
them consistent, copy them and put them back. Lockstep runs those scripts in
three stages, each over all jobs of all instances, and no stage begins anywhere
before the one before it has ended everywhere: lock, work, unlock. Whatever was
locked is unlocked, also when a script fails, when you press Ctrl-C, and when
this program is killed.

Begin with:

  lockstep demo                      see it work; needs nothing but this binary
  lockstep config generate           a configuration to start from
  lockstep plan shop                 what would be run, in order
  lockstep backup shop
  lockstep restore shop latest
  lockstep status                    what is locked, what can be restored, what is wrong

Data goes to stdout, progress and logs to stderr. Exit codes are bits; see
` + "`lockstep help exit-codes`."

// rootCommand builds the tree of commands of one invocation.
func (i *invocation) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "lockstep",
		Short:         "Back up and restore a whole distributed system as one thing",
		Long:          rootHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          i.group,
		// Cobra looks for near names itself only where it complains itself.
		SuggestionsMinimumDistance: 2,
		PersistentPreRunE:          func(c *cobra.Command, _ []string) error { return i.settleFor(c) },
		CompletionOptions:          cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(i.Stdin)
	root.SetOut(i.Stdout)
	root.SetErr(i.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(helpOf(c), "%s%w", toSay(c), err)
	})
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&i.flags.config, "config", "", "configuration `FILE` (default $LOCKSTEP_CONFIG, ./lockstep.yaml, …)")
	f.StringVar(&i.flags.server, "server", "", "ask the orchestrator at this `URL`, with $LOCKSTEP_TOKEN (default $LOCKSTEP_SERVER)")
	f.StringVarP(&i.flags.output, "format", "o", "table", "`FORMAT` of the data on stdout: table or json")
	f.StringVar(&i.flags.logFormat, "log-format", "text", "`FORMAT` of the lines on stderr: text or json")
	f.BoolVar(&i.flags.verbose, "verbose", false, "say more on stderr: every step, and notes for debugging")
	f.BoolVar(&i.flags.noColor, "no-color", false, "no colours (also with NO_COLOR set)")
	i.addCommands(root)
	completeFlags(root, flagValues())
	return root
}

func (i *invocation) addCommands(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Back up and restore:"},
		&cobra.Group{ID: "look", Title: "Look after runs and backups:"},
		&cobra.Group{ID: "may", Title: "Look after who may do what:"},
		&cobra.Group{ID: "self", Title: "Set up and learn:"},
	)
	restore := i.restoreCommand()
	i.repositoryFlag(restore.Flags().StringVar)
	groups := map[string][]*cobra.Command{
		"run": {
			i.planCommand(), i.checkCommand(), i.backupCommand(), restore,
			i.cleanupCommand(), i.recoverCommand(),
		},
		"look": {i.statusCommand(), i.runsCommand(), i.backupsCommand(), i.repositoryCommand(), i.schedulesCommand(), i.notifyCommand(), i.fleetCommand()},
		"may":  {i.tokensCommand(), i.approvalsCommand(), i.auditCommand()},
		"self": {
			i.serveCommand(), i.workerCommand(), i.configCommand(), i.stateCommand(), i.kubernetesCommand(), i.demoCommand(), i.diagnosticCommand(), i.versionCommand(), i.completionCommand(),
		},
	}
	for id, commands := range groups {
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	root.AddCommand(exitCodesTopic(), i.manCommand())
	root.SetHelpCommand(i.helpCommand(root))
}

// helpCommand is `lockstep help`. Cobra's own says nothing of a topic that there
// is not.
func (i *invocation) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command", GroupID: "self",
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usage("`lockstep --help` lists the commands", "help: there is no command %q", strings.Join(args, " "))
			}
			return c.Help()
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return nil, noFiles
			}
			var names []string
			for _, sub := range c.Commands() {
				names = append(names, sub.Name()+"\t"+sub.Short)
			}
			return names, noFiles
		},
	}
}

// group is the action of a command that has only subcommands.
func (i *invocation) group(c *cobra.Command, args []string) error {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if len(args) == 0 {
		if c.HasParent() {
			return usage(helpOf(c), "%smissing subcommand: %s", toSay(c), strings.Join(names, ", "))
		}
		return c.Help()
	}
	hint := helpOf(c)
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean `%s %s`?", c.CommandPath(), near[0])
	}
	return usage(hint, "%sno command %q", toSay(c), args[0])
}

func (i *invocation) groupCommand(use, short, long string, sub ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs, RunE: i.group}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(sub...)
	return c
}

// toSay begins a message about a command: "runs show: ", or nothing for the
// program itself, whose name stands before every message.
func toSay(c *cobra.Command) string {
	if !c.HasParent() {
		return ""
	}
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ") + ": "
}

func helpOf(c *cobra.Command) string { return fmt.Sprintf("`%s --help` says how", c.CommandPath()) }

// wants checks the number of arguments and names the missing one.
func wants(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage(helpOf(c), "%s%s is missing", toSay(c), names[len(args)])
		case len(args) > len(names):
			return usage(helpOf(c), "%sone argument too many: %q", toSay(c), args[len(names)])
		}
		return nil
	}
}

// wantsBetween is wants with the arguments after the first n optional.
func wantsBetween(n int, names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return wants(names[:n]...)(c, args)
		}
		return wantsUpTo(names...)(c, args)
	}
}

// wantsUpTo is wants with every argument optional.
func wantsUpTo(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return wants(names...)(c, args)
		}
		return nil
	}
}
