package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func newPlan(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "plan [NAME...]",
		Short: "Show what syncs and releases would change, with a diff",
		Long: `Show what the named syncs and releases, or all, would change in the cluster, with
a diff of each object. Nothing is changed, and no daemon is needed. A release
whose HelmRelease is in what a sync applies is planned as git declares it; its
problems are told with the place in the file, as the source has it. What it reads
of a ConfigMap or Secret that the same plan creates or changes is what that will
hold; so it is for a release block that depends on the sync which applies it.
Where a sync deletes a HelmRelease, the plan has the end of its release as well.

Exit code 0: nothing would change. 2: something would. 1: something is wrong.`,
		ValidArgsFunction: a.completeNodes(plannable),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.withEngine(cmd.Context(), func(e *engine.Engine) error { return a.plan(cmd.Context(), e, names) })
		},
	}
}

func (a *app) plan(ctx context.Context, e *engine.Engine, names []string) error {
	progress := a.progress()
	results, err := e.Plan(ctx, names, progress.show)
	progress.end()
	if err != nil {
		return err
	}
	if err := a.view(map[string]any{"plans": results}, func(w io.Writer) error {
		a.planPrinter(w).results(results)
		return nil
	}); err != nil {
		return err
	}
	return planCode(results)
}

func planCode(results []engine.PlanResult) error {
	changes := false
	for _, r := range results {
		changed, failed := planned(r)
		if failed {
			return exitCode(ExitError)
		}
		changes = changes || changed
	}
	if changes {
		return exitCode(ExitChanges)
	}
	return nil
}

// planned reports whether a plan has changes, and whether something is wrong with
// it.
func planned(r engine.PlanResult) (changes, failed bool) {
	switch {
	case r.Error != "":
		return false, true
	case r.Release != nil:
		return plannedRelease(*r.Release)
	}
	return r.Plan != nil && r.Plan.Changes(), r.Plan == nil || r.Plan.Failures() > 0
}

// planPrinter writes plans for people.
type planPrinter struct {
	w        io.Writer
	colour   bool
	problems func([]rollout.Problem)
}

func (a *app) planPrinter(w io.Writer) planPrinter {
	return planPrinter{w: w, colour: a.colour(w), problems: func(list []rollout.Problem) { a.renderProblems(w, list) }}
}

// results tells of all, and at the end in one line of the releases that there is
// nothing to tell about, if these are many.
func (p planPrinter) results(list []engine.PlanResult) {
	const few = 3
	var quiet []string
	for _, r := range list {
		if calm(r) {
			quiet = append(quiet, r.Node)
		}
	}
	for _, r := range list {
		if len(quiet) <= few || !calm(r) {
			p.result(r)
		}
	}
	if len(quiet) > few {
		p.printf("%s in sync: %s\n", plural(len(quiet), "release"), visible(strings.Join(quiet, ", ")))
	}
}

func (p planPrinter) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format, args...) }

func (p planPrinter) result(r engine.PlanResult) {
	if r.Release != nil {
		problems := r.Problems
		if len(problems) == 0 {
			problems = placed(r.Release.Problems)
		}
		p.release(planName(r), *r.Release, problems)
		return
	}
	if len(r.Problems) > 0 {
		p.printf("%s:\n", planName(r))
		p.problems(r.Problems)
	}
	if r.Plan == nil {
		if !anyError(r.Problems) {
			p.printf("%s: %s\n", planName(r), r.Error)
		}
		return
	}
	p.printf("%s at %s: %s\n", r.Node, revision(r.Plan.Revision.Ref, r.Plan.Revision.ID), planCounts(r.Plan))
	if r.Error != "" {
		p.printf("  %s\n", r.Error)
	}
	for _, problem := range r.Plan.Problems {
		p.printf("  %s: %s\n", problem.Severity, problem)
	}
	for _, o := range r.Plan.Objects {
		if o.Action != applier.Kept && o.Action != applier.Ignored {
			p.object(o)
		}
	}
	for _, text := range leftAlone(r.Plan.Objects) {
		p.printf("  = %s\n", text)
	}
	if r.Plan.Held != "" {
		p.printf("  nothing will be deleted: %s\n", r.Plan.Held)
	}
	if r.Plan.Approval != "" {
		p.printf("  to allow it: sluice apply %s --approve %s\n", strings.TrimPrefix(r.Node, "sync."), r.Plan.Approval)
	}
}

// planName is what a plan is of, with the place in the repository if a sync's
// files declare it.
func planName(r engine.PlanResult) string {
	if place := (rollout.Object{File: r.File, Line: r.Line}).Origin(); place != "" {
		return r.Node + " (" + place + ")"
	}
	return r.Node
}

func anyError(list []rollout.Problem) bool {
	return slices.ContainsFunc(list, func(p rollout.Problem) bool { return p.Severity == diag.Error.String() })
}

// marks are what each action is shown with.
var marks = map[applier.Action]string{
	applier.Create: "+", applier.Update: "~", applier.Recreate: "±", applier.Prune: "-",
	applier.Refused: "!",
}

func (p planPrinter) object(o rollout.Object) {
	mark, shown := marks[o.Action]
	if !shown {
		return
	}
	line := fmt.Sprintf("  %s %s", mark, o.Ref)
	if origin := o.Origin(); origin != "" {
		line += "  " + origin
	}
	if o.Problem != nil {
		line += "\n      " + o.Problem.String()
	} else if o.Reason != "" {
		line += "  (" + o.Reason + ")"
	}
	p.printf("%s\n", p.paint(mark, line))
	p.diff(o.Diff, "      ")
}

func (p planPrinter) diff(diff, indent string) {
	for l := range strings.Lines(hunks(diff)) {
		l = visibleLines(strings.TrimSuffix(l, "\n"))
		p.printf("%s%s\n", indent, p.paint(firstByte(l), l))
	}
}

// hunks leaves out the file names of a unified diff: the object's line stands
// above it.
func hunks(diff string) string {
	if i := strings.Index(diff, "@@ "); i >= 0 {
		return diff[i:]
	}
	return diff
}

func firstByte(s string) string {
	if s == "" {
		return ""
	}
	return s[:1]
}

// paint colours a line by its mark, where the user wants colour.
func (p planPrinter) paint(mark, line string) string {
	codes := map[string]string{"+": "32", "-": "31", "~": "33", "±": "33", "!": "31", "@": "36"}
	code, ok := codes[mark]
	if !p.colour || !ok {
		return line
	}
	return "\x1b[" + code + "m" + line + "\x1b[0m"
}

func planCounts(p *rollout.Plan) string {
	var parts []string
	for _, c := range []struct {
		action applier.Action
		word   string
	}{
		{applier.Create, "to create"}, {applier.Update, "to update"}, {applier.Recreate, "to create anew"}, {applier.Prune, "to delete"},
		{applier.None, "unchanged"}, {applier.Kept, "kept"}, {applier.Ignored, "ignored"}, {applier.Refused, "refused"},
	} {
		if n := p.Count(c.action); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, c.word))
		}
	}
	if len(parts) == 0 {
		return "no objects"
	}
	return strings.Join(parts, ", ")
}
