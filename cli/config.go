package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lockstep/config"
)

const configHelp = `Make, check and show the configuration: one YAML file with the repository, the
journal's folder and the deployments. It is looked for at --config, then
$LOCKSTEP_CONFIG, ./lockstep.yaml, $XDG_CONFIG_HOME/lockstep/config.yaml and
/etc/lockstep/config.yaml.`

func (i *invocation) configCommand() *cobra.Command {
	return local(i.groupCommand("config", "Generate, validate and show the configuration", configHelp,
		i.configGenerateCommand(), i.configValidateCommand(), i.configShowCommand()))
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
and column and what to write instead. It connects to nothing.

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
			names := []string{}
			for _, d := range cfg.Deployments {
				names = append(names, d.Name)
			}
			if i.json() {
				return i.writeJSON(map[string]any{"path": cfg.Path, "valid": true, "deployments": names})
			}
			fmt.Fprintf(i.Stdout, "%s is valid: %s\n", line(cfg.Path), plural(len(names), "deployment"))
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
			if i.json() {
				return i.writeJSON(cfg)
			}
			fmt.Fprint(i.Stdout, clean(config.Show(cfg)))
			return nil
		},
	}
}
