package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/api"
	"lockstep/serve"
	"lockstep/show"
)

const auditHelp = `Read the server's audit log: who did what, and who was kept from what. Each record
is chained to the one before by its hash, and heads are signed from time to time.

Without --server the log in the state folder of this host's configuration is
read. With --server it takes the role auditor or admin.`

func (i *invocation) auditCommand() *cobra.Command {
	return i.groupCommand("audit", "Read and verify the log of who did what", auditHelp, i.auditListCommand(), i.auditVerifyCommand())
}

const auditListHelp = `List records, newest first.

  lockstep audit list --deployment shop --action runs:restore
  lockstep audit list --by token:ci --limit 1000 -o json

Exit codes: 0 · 1 error · 2 usage.`

func (i *invocation) auditListCommand() *cobra.Command {
	filter := map[string]*string{}
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List who did what, newest first", Long: auditListHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 1 {
				return usage("for example --limit 100", "audit list: --limit must be above 0")
			}
			return i.managing(c, func(ctx context.Context, m serve.Management) error {
				chosen := map[string]string{}
				for key, value := range filter {
					chosen[key] = *value
				}
				records, err := m.AuditLog.AuditLog(ctx, chosen, limit)
				if err != nil {
					return err
				}
				if i.JSON() {
					return i.WriteJSON(show.List(records))
				}
				i.auditTable(records)
				return nil
			})
		},
	}
	for key, text := range map[string]string{
		"by": "only what this `PRINCIPAL` did, as KIND:NAME", "action": "only this `ACTION`, such as runs:restore",
		"deployment": "only what concerns this `DEPLOYMENT`", "object": "only what concerns this run, backup, token or approval, by its `ID`",
	} {
		filter[key] = c.Flags().String(key, "", text)
	}
	c.Flags().IntVar(&limit, "limit", 50, "at most so many `RECORDS`")
	return c
}

func (i *invocation) auditTable(records []api.AuditRecord) {
	if len(records) == 0 {
		fmt.Fprintln(i.Stdout, "no records")
		return
	}
	t := show.NewTable(">N", "TIME", "BY", "FROM", "ACTION", "RESULT", "DEPLOYMENT", "OBJECT", "DETAIL")
	for _, r := range records {
		t.Add(r.N, show.When(r.Time), show.Line(r.By), show.Line(r.From), show.Line(r.Action), show.Line(r.Result), show.Line(r.Deployment), show.Line(r.Object), show.Line(detailText(r.Detail)))
	}
	i.Table(t)
}

func detailText(detail map[string]string) string {
	var words []string
	for key, value := range detail {
		words = append(words, key+"="+value)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

const auditVerifyHelp = `Read the whole audit log and tell whether a record was removed, changed or moved.

Whoever owns the host could have written the log anew, and signed it. What they
cannot change are heads that have left the host: the server writes each signed
head to its log as well, as "audit log head". --heads takes a file with such
heads, with anything between them. --key takes the file key.pub, kept elsewhere.

  lockstep audit verify
  lockstep audit verify --heads heads-from-the-log-host.txt --key audit-key.pub

Exit codes: 0 nothing is wrong · 1 something is, or error · 2 usage.`

func (i *invocation) auditVerifyCommand() *cobra.Command {
	var heads, key string
	c := &cobra.Command{
		Use: "verify", Short: "Tell whether the log was tampered with", Long: auditVerifyHelp, Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			var req api.VerifyAudit
			for _, f := range []struct {
				path string
				to   *string
			}{{heads, &req.Heads}, {key, &req.Key}} {
				if f.path == "" {
					continue
				}
				b, err := os.ReadFile(f.path)
				if err != nil {
					return err
				}
				*f.to = string(b)
			}
			return i.managing(c, func(ctx context.Context, m serve.Management) error {
				r, err := m.AuditLog.VerifyAuditLog(ctx, req)
				if err != nil {
					return err
				}
				return i.showVerified(r)
			})
		},
	}
	c.Flags().StringVar(&heads, "heads", "", "a `FILE` with signed heads that were kept elsewhere")
	c.Flags().StringVar(&key, "key", "", "a `FILE` with the key that verifies, kept elsewhere")
	return c
}

func (i *invocation) showVerified(r api.AuditReport) error {
	code := 0
	if !r.OK {
		code = lockstep.ExitError
	}
	if i.JSON() {
		if err := i.WriteJSON(r); err != nil {
			return err
		}
		return status(code)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(i.Stdout, "%s %s\n", i.Out.Bad("wrong:"), show.Line(p))
	}
	fmt.Fprintf(i.Stdout, "%s, %d of them under %s\n", show.Plural(int(r.Records), "record"), r.Signed, show.Plural(r.Heads, "signed head"))
	if r.OK {
		fmt.Fprintln(i.Stdout, "nothing was removed, changed or moved")
	}
	return status(code)
}
