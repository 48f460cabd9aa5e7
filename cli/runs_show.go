package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const runsShowHelp = `Show one run: how it stands or ended, and every try of every step with its time
and outcome. SCRIPT is how long the script itself ran, as its instance measured
it; the lock window says which share of it was orchestrator overhead.

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
			seen, err := svc.Runs(ctx, run.ID.Only(run.Opened.Deployment))
			if err != nil {
				return err
			}
			return i.showRun(run, seen)
		},
	}
	c.Flags().StringVar(&output, "output", "", "print what the script of this `STEP` printed")
	_ = c.RegisterFlagCompletionFunc("output", i.completeSteps)
	c.Flags().BoolVar(&raw, "raw", false, "with --output: nothing but the script's bytes")
	return c
}

func (i *invocation) showRun(run *lockstep.Run, seen []lockstep.RunSummary) error {
	rep := run.Report(i.Now())
	if len(seen) > 0 {
		rep.See(seen[0])
	}
	if i.JSON() {
		return i.WriteJSON(rep)
	}
	i.SummaryTable(rep)
	i.Failures(rep.Failures)
	if len(rep.Steps) > 0 {
		fmt.Fprintln(i.Stdout)
		i.stepTable(rep.Steps)
	}
	return nil
}

func (i *invocation) stepTable(steps []lockstep.StepView) {
	t := show.NewTable("STAGE", "STEP", "TRY", "STATE", "STARTED", ">TOOK", ">SCRIPT", "OUTCOME")
	for _, s := range steps {
		try, started, script := "", "", ""
		if s.Attempt > 0 {
			try = fmt.Sprint(s.Attempt)
		}
		if s.StartedAt != nil {
			started = s.StartedAt.Local().Format("15:04:05.000")
		}
		if s.Seconds != nil {
			script = show.SpanOfSeconds(*s.Seconds)
		}
		stage := string(s.Stage)
		if s.Wave > 1 {
			stage = fmt.Sprintf("%s %d", s.Stage, s.Wave)
		}
		t.Add(stage, s.ID, try, s.State, started, show.StepTook(s, i.Now()), script, i.outcomeCell(s))
	}
	i.Table(t)
}

// outcomeCell is how a try ended, with the first line of what was wrong.
func (i *invocation) outcomeCell(s lockstep.StepView) show.Cell {
	if s.Outcome == nil {
		return show.Cell{}
	}
	text := strings.ReplaceAll(*s.Outcome, "_", " ")
	switch {
	case s.ExitCode != nil && *s.ExitCode == 0:
		return show.Cell{Text: "ok", Paint: i.Out.Good}
	case s.ExitCode != nil:
		text = fmt.Sprintf("exit %d", *s.ExitCode)
	case s.Signal != nil:
		text = "signal " + *s.Signal
	}
	if s.Error != nil {
		first, _, _ := strings.Cut(*s.Error, "\n")
		text += ": " + show.Clip(first, 100)
	}
	return show.Cell{Text: text, Paint: i.Out.Bad}
}

func (i *invocation) showOutput(ctx context.Context, svc lockstep.Service, run *lockstep.Run, id lockstep.StepID, raw bool) error {
	outputs, err := svc.Output(ctx, run.ID, id)
	if err != nil {
		return err
	}
	if run.Plan == nil {
		return noStep(run, id, "it had no plan yet")
	}
	if _, ok := run.Plan.Step(id); !ok {
		return noStep(run, id, "not in its plan")
	}
	if i.JSON() {
		return i.WriteJSON(show.List(outputs))
	}
	for _, o := range outputs {
		if err := i.printOutput(o, raw); err != nil {
			return fmt.Errorf("print output of %s: %w", id, err)
		}
	}
	if len(outputs) == 0 {
		i.Say("no output of %s is kept", id)
	}
	return nil
}

func noStep(run *lockstep.Run, id lockstep.StepID, why string) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find step %q of run %s", id, run.ID), Err: errors.New(why),
		Hint: fmt.Sprintf("`lockstep runs show %s` lists the steps", run.ID),
	}
}

func (i *invocation) printOutput(o lockstep.StepOutput, raw bool) error {
	if raw {
		_, err := i.Stdout.Write(append(append([]byte{}, o.Head...), o.Tail...))
		return err
	}
	text := show.Clean(string(o.Head))
	if o.Dropped > 0 {
		text = strings.TrimRight(text, "\n") + "\n" + i.Out.Faint(fmt.Sprintf("… %s left out …", show.Size(o.Dropped))) + "\n"
	}
	text += show.Clean(string(o.Tail))
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err := fmt.Fprintf(i.Stdout, "%s\n%s", i.Out.Strong(fmt.Sprintf("try %d, %s:", o.Attempt, show.Line(o.Stream))), text)
	return err
}
