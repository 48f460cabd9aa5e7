package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/config"
	"lockstep/show"
)

const configHelp = `Make, check and show the configuration: one YAML file with the repository, the
journal's folder and the deployments. It is looked for at --config, then
$LOCKSTEP_CONFIG, ./lockstep.yaml, $XDG_CONFIG_HOME/lockstep/config.yaml and
/etc/lockstep/config.yaml.`

func (i *invocation) configCommand() *cobra.Command {
	return local(i.groupCommand("config", "Generate, validate and show the configuration", configHelp,
		i.configGenerateCommand(), i.configValidateCommand(), i.configShowCommand(), i.configMovedCommand()))
}

const configGenerateHelp = `Print a configuration to start from, with a comment for every key.

  lockstep config generate > lockstep.yaml
  lockstep config generate --schema > lockstep.schema.json     for editors

Exit codes: 0 · 2 usage.`

func (i *invocation) configGenerateCommand() *cobra.Command {
	var schema bool
	c := &cobra.Command{
		Use: "generate", Short: "Print a configuration to start from", Long: configGenerateHelp, Args: wants(),
		RunE: func(*cobra.Command, []string) error {
			text := []byte(config.Generate())
			if schema {
				text = config.Schema()
			}
			_, err := i.Stdout.Write(text)
			return err
		},
	}
	c.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the file instead")
	return c
}

const configValidateHelp = `Check the configuration file. Everything that is wrong is told at once, with line
and column and what to write instead, and which of the files that it names (keys,
host keys) cannot be read. It connects to nothing.

  lockstep config validate
  lockstep --config ./other.yaml config validate

Exit codes: 0 it is right · 1 it is not · 2 usage.`

func (i *invocation) configValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "validate", Short: "Check the configuration file", Long: configValidateHelp, Args: wants(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := config.Load(i.flags.config, i.getenv)
			if err != nil {
				return err
			}
			if err := cfg.CheckFiles(); err != nil {
				return err
			}
			names := []string{}
			for _, d := range cfg.Deployments {
				names = append(names, d.Name)
			}
			if i.JSON() {
				return i.WriteJSON(map[string]any{"path": cfg.Path, "valid": true, "deployments": names})
			}
			fmt.Fprintf(i.Stdout, "%s is valid: %s\n", show.Line(cfg.Path), show.Plural(len(names), "deployment"))
			return nil
		},
	}
}

const configShowHelp = `Print the configuration that is in effect, with every default filled in, as YAML.
Secrets are not in it: they lie in files of their own.

  lockstep config show

Exit codes: 0 · 1 there is none, or it is wrong · 2 usage.`

func (i *invocation) configShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Print the configuration in effect", Long: configShowHelp, Args: wants(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := config.Load(i.flags.config, i.getenv)
			if err != nil {
				return err
			}
			if i.JSON() {
				values, err := config.Values(cfg)
				if err != nil {
					return err
				}
				return i.WriteJSON(values)
			}
			fmt.Fprint(i.Stdout, show.Clean(config.Show(cfg)))
			return nil
		},
	}
}

const configMovedHelp = `Say that a deployment of the configuration is the one that the journal knows from
another file, though all its instances are new: its runs, what they hold and its
backups are its own again.

A file that was renamed, or moved with its folder, needs no word: it is recognised
where all its instances are the same, and told. A server that is running reads this
when it is restarted. Nothing is asked either of a deployment with an
identity of its own (identity: NAME).

  lockstep config moved shop
  lockstep config moved shop --from /etc/old/lockstep.yaml

Exit codes: 0 noted · 1 refused · 2 usage.`

func (i *invocation) configMovedCommand() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use: "moved DEPLOYMENT", Short: "Say that a deployment is the one that another file described",
		Long: configMovedHelp, Args: wants("DEPLOYMENT"), ValidArgsFunction: i.completeDeployments,
		RunE: func(c *cobra.Command, args []string) error {
			if i.Setup.Moved == nil {
				return &lockstep.Error{Op: c.CommandPath(), Err: errors.New("this build keeps no journal")}
			}
			key, was, err := i.Setup.Moved(c.Context(), i.options(), args[0], from)
			if err != nil {
				return err
			}
			if i.JSON() {
				return i.WriteJSON(map[string]any{"deployment": args[0], "key": key, "was": was})
			}
			fmt.Fprintf(i.Stdout, "%s is the deployment that %s described\n", show.Line(args[0]), show.Line(was))
			return nil
		},
	}
	c.Flags().StringVar(&from, "from", "", "the file that described it, where the journal knows several")
	return c
}
