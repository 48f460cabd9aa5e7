package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/demo"
)

const demoHelp = `See it work. With nothing but this binary: brings up a small sample deployment over
SSH on this machine's loopback, shows the plan, backs it up while customers keep
ordering, destroys its data, restores it, proves that it is back byte for byte,
and prints the lock window.

Nothing outside of one folder is touched, and that is removed at the end. With
--keep the deployment stays up until Ctrl-C, and the folder after that: with its
configuration you can try every other command.

  lockstep demo
  lockstep demo --keep
  lockstep demo --keep --dir ./shop       brings it up in ./shop
  lockstep demo --docker                  the same on containers of a Docker engine
  lockstep demo --kubernetes              the same on pods of kubectl's cluster

With --docker the instances are containers, with --kubernetes pods, of debian:12 or
of another --image that has what instances need. The pods are in a namespace that
the demo makes. Containers and namespace are removed at the end, --keep or not.
Nothing else of the engine or the cluster is touched.

It needs Linux, and what instances need: a shell, coreutils, findutils, tar and
util-linux. It needs no root and no SSH server. With --docker it needs the docker
command, with --kubernetes the kubectl command alone.

Exit codes: 0 the data came back · 1 it did not, or error · 2 usage.`

func (i *invocation) demoCommand() *cobra.Command {
	var dir, image string
	var keep, docker, kubernetes bool
	c := local(&cobra.Command{
		Use: "demo", Short: "See it work; needs nothing but this binary", Long: demoHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			if i.Setup.Demo == nil {
				return &lockstep.Error{Op: "demo", Err: errors.New("this build has none")}
			}
			if i.JSON() {
				return usage("leave -o json out", "demo: it is for reading, and prints no JSON")
			}
			way := demo.WaySSH
			switch {
			case docker && kubernetes:
				return usage("leave one of them out", "demo: it is shown with --docker or with --kubernetes")
			case docker:
				way = demo.WayDocker
			case kubernetes:
				way = demo.WayKubernetes
			case c.Flags().Changed("image"):
				return usage("add --docker or --kubernetes", "demo: --image is that of containers or pods")
			}
			return i.Setup.Demo(c.Context(), demo.Demonstration{
				Way: way, Image: image,
				Stdin: i.Stdin, Stdout: i.Stdout, Stderr: i.Stderr, Signals: i.Signals,
				Version: i.Version, Color: i.Out.On, Dir: dir, Keep: keep,
				Open: i.Setup.Open, Getenv: i.getenv,
				Run: func(ctx context.Context, args ...string) int {
					here := i.Program
					here.Env = append(slices.Clone(here.Env), "LOCKSTEP_SERVER=")
					return here.Run(ctx, append(i.flags.looks(), args...))
				},
			})
		},
	})
	c.Flags().StringVar(&dir, "dir", "", "bring it up in `FOLDER`, which must be empty or not there (default a temporary one)")
	c.Flags().BoolVar(&docker, "docker", false, "show it on containers of this machine's Docker engine")
	c.Flags().BoolVar(&kubernetes, "kubernetes", false, "show it on pods of the cluster of kubectl's current context")
	c.Flags().StringVar(&image, "image", "debian:12", "`IMAGE` of the containers or pods")
	c.Flags().BoolVar(&keep, "keep", false, "leave it up until Ctrl-C, and keep the folder")
	return c
}

// looks are the flags that make another command line look as this one does.
func (f globalFlags) looks() []string {
	args := []string{"--log-format", f.logFormat}
	if f.verbose {
		args = append(args, "--verbose")
	}
	if f.noColor {
		args = append(args, "--no-color")
	}
	return args
}
