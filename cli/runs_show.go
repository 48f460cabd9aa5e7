package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
)

const runsShowHelp = `Show one run: how it stands or ended, and every try of every step with its time
and outcome. SCRIPT is how long the script itself ran, as its instance measured
it; the lock window says which share of it was the orchestrator's own.

  lockstep runs show latest
  lockstep runs show 0198c0de-…
  lockstep runs show 0198c0de-… -o json | jq '.steps[] | select(.exit_code != 0)'
  lockstep runs show 0198c0de-… --output db/0/postgres/backup
  lockstep runs show 0198c0de-… --output db/0/postgres/backup --raw > output

--output prints what a step's script printed: of each stream the first 256 KiB
and the last 1 MiB. Control characters are shown as codes; --raw leaves all
bytes as they were.

Exit codes: 0 shown · 1 error · 2 usage.`

func (i *invocation) runsShowCommand() *cobra.Command {
	var output string
	var raw bool
	c := &cobra.Command{
		Use: "show RUN", Short: "Show one run", Long: runsShowHelp,
		Args: wants("RUN"), ValidArgsFunction: i.completeRuns,
		RunE: func(c *cobra.Command, args []string) error {
			if raw && output == "" {
				return usage(helpOf(c), "runs show: --raw goes with --output STEP")
			}
			ctx, stop := i.interruptible(c.Context())
			defer stop()
			svc, err := i.service(ctx)
			if err != nil {
				return err
			}
			i.notice(ctx, svc)
			id, err := runNamed(ctx, svc, args[0])
			if err != nil {
				return err
			}
			run, err := svc.Run(ctx, id)
			if err != nil {
				return err
			}
			if output != "" {
				return i.showOutput(ctx, svc, run, lockstep.StepID(output), raw)
			}
			return i.showRun(run)
		},
	}
	c.Flags().StringVar(&output, "output", "", "print what the script of this `STEP` printed")
	c.Flags().BoolVar(&raw, "raw", false, "with --output: nothing but the script's bytes")
	return c
}

func (i *invocation) showRun(run *lockstep.Run) error {
	rep := run.Report(i.Now())
	if i.json() {
		return i.writeJSON(rep)
	}
	i.summaryTable(rep)
	if rep.Error != nil {
		fmt.Fprintf(i.Stdout, "\n%s %s\n", i.out.bad("error:"), indent(clean(*rep.Error), "  "))
	}
	for h := range strings.SplitSeq(rep.Hint, "\n") {
		if h != "" {
			fmt.Fprintf(i.Stdout, "%s %s\n", i.out.strong("hint:"), line(h))
		}
	}
	if len(rep.Steps) > 0 {
		fmt.Fprintln(i.Stdout)
		i.stepTable(rep.Steps)
	}
	return nil
}

func (i *invocation) stepTable(steps []lockstep.StepView) {
	t := newTable("STAGE", "STEP", "TRY", "STATE", "STARTED", ">TOOK", ">SCRIPT", "OUTCOME")
	for _, s := range steps {
		try, started, script := "", "", ""
		if s.Attempt > 0 {
			try = fmt.Sprint(s.Attempt)
		}
		if s.StartedAt != nil {
			started = s.StartedAt.Local().Format("15:04:05.000")
		}
		if s.Seconds != nil {
			script = spanOfSeconds(*s.Seconds)
		}
		stage := string(s.Stage)
		if s.Wave > 1 {
			stage = fmt.Sprintf("%s %d", s.Stage, s.Wave)
		}
		t.add(stage, s.ID, try, s.State, started, stepTook(s, i.Now()), script, i.outcomeCell(s))
	}
	t.write(i.Stdout, i.out)
}

// outcomeCell is how a try ended, with the first line of what was wrong.
func (i *invocation) outcomeCell(s lockstep.StepView) cell {
	if s.Outcome == nil {
		return cell{}
	}
	text := strings.ReplaceAll(*s.Outcome, "_", " ")
	switch {
	case s.ExitCode != nil && *s.ExitCode == 0:
		return cell{"ok", i.out.good}
	case s.ExitCode != nil:
		text = fmt.Sprintf("exit %d", *s.ExitCode)
	case s.Signal != nil:
		text = "signal " + *s.Signal
	}
	if s.Error != nil {
		first, _, _ := strings.Cut(*s.Error, "\n")
		text += ": " + clip(first, 100)
	}
	return cell{text, i.out.bad}
}

func (i *invocation) showOutput(ctx context.Context, svc lockstep.Service, run *lockstep.Run, id lockstep.StepID, raw bool) error {
	outputs, err := svc.Output(ctx, run.ID, id)
	if err != nil {
		return err
	}
	if run.Plan != nil {
		if _, ok := run.Plan.Step(id); !ok {
			return &lockstep.Error{
				Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find step %q of run %s", id, run.ID), Err: fmt.Errorf("not in its plan"),
				Hint: fmt.Sprintf("`lockstep runs show %s` lists the steps", run.ID),
			}
		}
	}
	if i.json() {
		return i.writeJSON(list(outputs))
	}
	for _, o := range outputs {
		if err := i.printOutput(o, raw); err != nil {
			return fmt.Errorf("print output of %s: %w", id, err)
		}
	}
	if len(outputs) == 0 {
		i.say("no output of %s is kept", id)
	}
	return nil
}

func (i *invocation) printOutput(o lockstep.StepOutput, raw bool) error {
	if raw {
		_, err := i.Stdout.Write(append(append([]byte{}, o.Head...), o.Tail...))
		return err
	}
	text := clean(string(o.Head))
	if o.Dropped > 0 {
		text = strings.TrimRight(text, "\n") + "\n" + i.out.faint(fmt.Sprintf("… %s left out …", size(o.Dropped))) + "\n"
	}
	text += clean(string(o.Tail))
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err := fmt.Fprintf(i.Stdout, "%s\n%s", i.out.strong(fmt.Sprintf("try %d, %s:", o.Attempt, line(o.Stream))), text)
	return err
}
