package cli

import (
	"io"
	"regexp"

	"github.com/spf13/cobra"

	"lockstep/config"
	"lockstep/serve"
)

const kubernetesHelp = `What Lockstep needs in a Kubernetes cluster whose pods are instances.`

func (i *invocation) kubernetesCommand() *cobra.Command {
	return local(i.groupCommand("kubernetes", "Print what is needed in a Kubernetes cluster", kubernetesHelp, i.kubernetesRBACCommand()))
}

const kubernetesRBACHelp = `Print the service account that Lockstep may log in as, with the least rights that
the deployments of the configuration take, as YAML. It connects to nothing.

  lockstep kubernetes rbac shop | kubectl apply -f -
  lockstep kubernetes rbac --service-account backup --home ops

Running commands in a pod is all that its container may do; whoever has this account
has that. Deployments are all that have pods unless some are named.

Exit codes: 0 · 1 no deployment has pods, or the configuration is wrong · 2 usage.`

// accountName is what names of service accounts are.
var accountName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)

func (i *invocation) kubernetesRBACCommand() *cobra.Command {
	var account, home string
	c := &cobra.Command{
		Use: "rbac [DEPLOYMENT]...", Short: "Print a service account and its least rights", Long: kubernetesRBACHelp,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: i.completeDeployments,
		RunE: func(_ *cobra.Command, names []string) error {
			for _, name := range []string{account, home} {
				if name != "" && !accountName.MatchString(name) {
					return usage("write for example: --service-account lockstep --home ops", "kubernetes rbac: %q is not a name in Kubernetes", name)
				}
			}
			cfg, err := config.Load(i.flags.config, i.getenv)
			if err != nil {
				return err
			}
			text, err := serve.RBAC(cfg, account, home, names...)
			if err != nil {
				return err
			}
			_, err = io.WriteString(i.Stdout, text)
			return err
		},
	}
	c.Flags().StringVar(&account, "service-account", "lockstep", "name of the service account, and of its role")
	c.Flags().StringVar(&home, "home", "", "namespace of the service account (default: the first one that has pods)")
	return c
}
