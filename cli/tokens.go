package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep/access"
	"lockstep/api"
	"lockstep/internal/units"
	"lockstep/serve"
	"lockstep/show"
)

const tokensHelp = `Look after the tokens that let others ask a server. A token has a name, roles on
deployments, and an end.

Without --server the state folder of this host's configuration is looked after
itself; whoever can read it may do that. With --server it takes the role admin.`

func (i *invocation) tokensCommand() *cobra.Command {
	return i.groupCommand("tokens", "Create, list and revoke tokens", tokensHelp,
		i.tokensCreateCommand(), i.tokensListCommand(), i.tokensRevokeCommand())
}

const tokensCreateHelp = `Make a token for NAME and print it, this once: only a hash of it is kept. A second
token of the same name is the same principal, so that one can be replaced without
a gap.

A role is granted for all deployments, or as ROLE@PATTERN for those whose names
match. Roles:

  viewer             sees states: no output of scripts, no data
  backup-operator    backs up, plans, cancels, unlocks; sees output
  restore-operator   restores, or asks for it; plans, cancels, unlocks
  approver           is the second person of a restore
  auditor            reads states and the audit log
  admin              everything but to approve

  lockstep tokens create ci --role backup-operator@shop
  lockstep tokens create wallboard --role viewer --expires 30d
  lockstep tokens create night --role viewer --role backup-operator@shop > token

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) tokensCreateCommand() *cobra.Command {
	var roles []string
	var expires string
	c := &cobra.Command{
		Use: "create NAME --role ROLE[@PATTERN]...", Short: "Make a token and print it, this once", Long: tokensCreateHelp,
		Args: wants("NAME"), DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			req := api.TokenRequest{Name: args[0], Roles: roles}
			if len(roles) == 0 {
				return usage("for example --role viewer or --role backup-operator@shop", "tokens create: --role is wanted")
			}
			if _, err := req.Access(); err != nil {
				return err
			}
			if c.Flags().Changed("expires") {
				var err error
				if req.Seconds, err = tokenSeconds(expires); err != nil {
					return err
				}
			}
			return i.managing(c, func(ctx context.Context, m serve.Management) error {
				made, err := m.Tokens.CreateToken(ctx, req)
				if err != nil {
					return err
				}
				return i.showNewToken(made)
			})
		},
	}
	c.Flags().StringArrayVar(&roles, "role", nil, "a `ROLE`, or ROLE@PATTERN of deployments; may be repeated")
	c.Flags().StringVar(&expires, "expires", "", "a `DURATION` such as 12h, 30d or 52w, up to a year (default 90d)")
	return c
}

// tokenSeconds is how long a token lives that is asked for with --expires. No time at
// all is refused: a request without one means the default, which is long.
func tokenSeconds(expires string) (int64, error) {
	life, err := units.ParseSpan(expires)
	if err != nil {
		return 0, usage("", "tokens create: --expires: %w", err)
	}
	if life < time.Second {
		return 0, usage("write how long it lives, for example --expires 12h; without --expires it lives 90 days",
			"tokens create: --expires %q: no token lives that short", expires)
	}
	return int64(life / time.Second), nil
}

// showNewToken puts the token alone on stdout, for pipes.
func (i *invocation) showNewToken(made api.NewToken) error {
	if i.JSON() {
		return i.WriteJSON(made)
	}
	fmt.Fprintln(i.Stdout, made.Secret)
	i.Log.Info(fmt.Sprintf("token %s for %s is good until %s; it is not shown again", made.Token.ID, show.Line(made.Token.Name), show.When(made.Token.ExpiresAt)))
	return nil
}

const tokensListHelp = `List tokens, newest first, those that ended too. Their secrets are not kept.

  lockstep tokens list
  lockstep tokens list -o json

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) tokensListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens, newest first", Long: tokensListHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			return i.managing(c, func(ctx context.Context, m serve.Management) error {
				tokens, err := m.Tokens.Tokens(ctx)
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(show.List(tokens))
				}
				i.tokenTable(tokens)
				return nil
			})
		},
	}
}

func (i *invocation) tokenTable(tokens []api.Token) {
	if len(tokens) == 0 {
		fmt.Fprintln(i.Stdout, "no tokens")
		return
	}
	t := show.NewTable("ID", "NAME", "STATE", "ROLES", "CREATED BY", "EXPIRES", "LAST USED")
	for _, k := range tokens {
		t.Add(k.ID, show.Line(k.Name), tokenState(k, i.Now()), grantsText(k.Grants), show.Line(k.CreatedBy), show.When(k.ExpiresAt), show.When(k.UsedAt))
	}
	i.Table(t)
}

func tokenState(k api.Token, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.Live(now):
		return "expired"
	}
	return "live"
}

func grantsText(grants []access.Grant) string {
	var words []string
	for _, g := range grants {
		words = append(words, strings.TrimSuffix(g.String(), "@*"))
	}
	return strings.Join(words, " ")
}

const tokensRevokeHelp = `End a token, by its id as in ` + "`lockstep tokens list`" + `, and the logins that began
with it.

  lockstep tokens revoke yg5eqfm7adz5m7zu

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) tokensRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a token", Long: tokensRevokeHelp, Args: wants("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return i.managing(c, func(ctx context.Context, m serve.Management) error {
				if err := m.Tokens.RevokeToken(ctx, args[0]); err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(map[string]string{"revoked": args[0]})
				}
				fmt.Fprintf(i.Stdout, "revoked %s\n", show.Line(args[0]))
				return nil
			})
		},
	}
}
