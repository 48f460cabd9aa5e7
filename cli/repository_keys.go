package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lockstep"
	"lockstep/show"
)

const repositoryKeysHelp = `Look after the passwords that open a repository in restic's format. Each opens all of
it, for lockstep and for stock restic alike.

  lockstep repository keys list
  lockstep repository keys add --new-password-file next.password
  lockstep repository keys add --recovery           print a new one, once: keep it on paper
  lockstep repository keys remove 4f0c12ab

To change the password: add a new one, put it into the configuration's password
file, remove the old one. Whoever knew a password may have copied what it opens: a
removed one does not open the repository, but what was read before stays read. Under
object lock it is removed at once, too, for all but those who may read earlier versions
of the bucket: for them it stays until its date.`

func (i *invocation) repositoryKeysCommand() *cobra.Command {
	return i.groupCommand("keys", "Look after the passwords that open the repository", repositoryKeysHelp,
		i.repositoryKeysListCommand(), i.repositoryKeysAddCommand(), i.repositoryKeysRemoveCommand())
}

func (i *invocation) repositoryKeysListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the passwords, without them", Args: wants(),
		Long: "List the passwords that open the repository, without them.\n\n  lockstep repository keys list\n\nExit codes: 0 ok · 1 error · 2 usage.",
		RunE: func(c *cobra.Command, _ []string) error {
			return i.keeping(c, func(ctx context.Context, k keeper) error {
				keys, err := k.RepositoryKeys(ctx)
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(keys)
				}
				t := show.NewTable("KEY", "CREATED", "BY", "")
				for _, key := range keys {
					t.Add(key.ID[:min(8, len(key.ID))], show.When(key.Created), key.Username+"@"+key.Hostname, map[bool]string{true: "in use"}[key.Current])
				}
				i.Table(t)
				return nil
			})
		},
	}
}

// keyOptions say where a new password comes from.
type keyOptions struct {
	file     string
	recovery bool
}

func (i *invocation) repositoryKeysAddCommand() *cobra.Command {
	var o keyOptions
	c := &cobra.Command{
		Use: "add", Short: "Add a password", Args: wants(),
		Long: "Add a password that opens the repository. It comes from a file or is typed twice on\nthe terminal; with --recovery it is made here and printed once.\n\n  lockstep repository keys add --new-password-file next.password\n\nExit codes: 0 added · 1 error · 2 usage.",
		RunE: func(c *cobra.Command, _ []string) error {
			return i.keeping(c, func(ctx context.Context, k keeper) error { return i.addKey(ctx, k, o) })
		},
	}
	c.Flags().StringVar(&o.file, "new-password-file", "", "`FILE` with the new password")
	c.Flags().BoolVar(&o.recovery, "recovery", false, "make one and print it")
	c.MarkFlagsMutuallyExclusive("new-password-file", "recovery")
	return c
}

func (i *invocation) addKey(ctx context.Context, k keeper, o keyOptions) error {
	password, err := i.newPassword(o)
	if err != nil {
		return err
	}
	id, err := k.AddRepositoryKey(ctx, password)
	if err != nil {
		return err
	}
	if !o.recovery {
		password = ""
	}
	if i.JSON() {
		return i.WriteJSON(struct {
			ID       string `json:"id"`
			Password string `json:"password,omitempty"`
		}{id, password})
	}
	fmt.Fprintf(i.Stdout, "added key %s\n", id[:min(8, len(id))])
	if o.recovery {
		fmt.Fprintf(i.Stdout, "\n  %s\n\nThis opens the repository when every other password is lost. It is not shown again:\nkeep it where a fire or a thief of this host does not reach it.\n", password)
	}
	return nil
}

func (i *invocation) newPassword(o keyOptions) (string, error) {
	switch {
	case o.recovery:
		return recoveryPassword(), nil
	case o.file != "":
		b, err := os.ReadFile(o.file)
		if err != nil {
			return "", &lockstep.Error{Kind: lockstep.KindInvalid, Op: "read the new password", Err: err}
		}
		return strings.TrimSpace(string(b)), nil
	case !i.inTTY:
		return "", usage("give --new-password-file FILE, or --recovery", "repository keys add: there is no terminal to type a password on")
	}
	return i.typedTwice()
}

// recoveryPassword is 128 random bits, in groups that can be read out.
func recoveryPassword() string {
	text := strings.ToLower(rand.Text()) // 26 letters and digits
	var groups []string
	for len(text) > 0 {
		n := min(5, len(text))
		groups, text = append(groups, text[:n]), text[n:]
	}
	return strings.Join(groups, "-")
}

func (i *invocation) typedTwice() (string, error) {
	var typed [2]string
	for n, prompt := range []string{"new password: ", "once more: "} {
		i.Console.WriteString(prompt)
		b, err := term.ReadPassword(int(os.Stdin.Fd()))
		i.Console.WriteString("\n")
		if err != nil {
			return "", fmt.Errorf("read the new password: %w", err)
		}
		typed[n] = string(b)
	}
	if typed[0] != typed[1] {
		return "", &lockstep.Error{Kind: lockstep.KindInvalid, Op: "add key", Err: errors.New("the two are not the same")}
	}
	return strings.TrimSpace(typed[0]), nil
}

func (i *invocation) repositoryKeysRemoveCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "remove KEY", Short: "Remove a password", Args: wants("KEY"),
		Long: "Remove a password, by the first digits of its key. The one in use cannot be removed.\n\n  lockstep repository keys remove 4f0c12ab --yes\n\nExit codes: 0 removed · 1 error · 2 usage.",
		RunE: func(c *cobra.Command, args []string) error {
			return i.keeping(c, func(ctx context.Context, k keeper) error {
				if err := i.mayDestroy(ctx, yes, "The password of key "+show.Line(args[0])+" will not open the repository any more"); err != nil {
					return err
				}
				if err := k.RemoveRepositoryKey(ctx, args[0]); err != nil {
					return err
				}
				fmt.Fprintf(i.Stdout, "removed key %s\n", show.Line(args[0]))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
