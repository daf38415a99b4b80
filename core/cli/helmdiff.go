package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

func newHelmDiff(a *app) *cobra.Command {
	var exit bool
	cmd := &cobra.Command{
		Use:   "diff NAME",
		Short: "Show what an upgrade would change, and which live objects differ",
		Long: `Show what making a release as it is declared would change, and which live objects
are not as the release says. Nothing is changed. What is in Secrets is not shown.

The release is compared as it is declared in the daemon's configuration;
` + "`sluice plan NAME`" + ` does the same with the configuration on disk, and without a
daemon.`,
		Example: `  sluice helm diff demo/ghost
  sluice helm diff demo/ghost --exit-code || echo it would change`,
		Args:              needs("NAME", 1, 1),
		ValidArgsFunction: a.completeReleases,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.helmDiff(cmd.Context(), args[0], exit) },
	}
	cmd.Flags().BoolVar(&exit, "exit-code", false, "exit with 2 if something differs")
	return cmd
}

func (a *app) helmDiff(ctx context.Context, name string, exit bool) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	plan, err := client.HelmDiff(ctx, a.releaseName(name))
	if err != nil {
		return err
	}
	if err := a.view(plan, func(w io.Writer) error {
		a.planPrinter(w).release(name, plan, placed(plan.Problems))
		return nil
	}); err != nil {
		return err
	}
	changes, failed := plannedRelease(plan)
	switch {
	case failed:
		return exitCode(ExitError)
	case exit && (changes || len(plan.Drift) > 0):
		return exitCode(ExitChanges)
	}
	return nil
}

// plannedRelease reports whether a run would change something, and whether it
// would fail or refuse to.
func plannedRelease(p release.Plan) (changes, failed bool) {
	switch p.Action {
	case release.ActRefuse:
		return false, true
	case "", release.ActNone, release.ActCompare, release.ActWait:
		return len(p.Changes) > 0, p.Error != ""
	}
	return true, p.Error != ""
}

// release writes what would be done to a release, and what is wrong with it.
func (p planPrinter) release(name string, r release.Plan, problems []rollout.Problem) {
	head := name + ": " + words(string(r.State))
	if chart := chartText(r.Chart.Name, r.Chart.Version); chart != "" {
		head += ", " + chart
	}
	if next := releaseAction(r); next != "" {
		head += ": " + next
	}
	p.printf("%s\n", visible(head))
	if r.Reason != "" {
		p.printf("  %s\n", indentedBy("  ", r.Reason))
	}
	for _, warning := range r.Warnings {
		p.printf("  warning: %s\n", indentedBy("  ", warning))
	}
	if len(problems) > 0 {
		p.problems(problems)
	}
	if !anyError(problems) && !tells(r.Reason, r.Error) {
		p.printf("  error: %s\n", indentedBy("    ", r.Error))
	}
	p.changes(r.Changes, "  ")
	if len(r.Drift) > 0 {
		p.printf("  not as the release says:\n")
		p.changes(r.Drift, "    ")
	}
}

// releaseAction is what would be done, and to how many objects.
func releaseAction(r release.Plan) string {
	action := words(string(r.Action))
	switch r.Action {
	case "", release.ActNone, release.ActCompare:
		action = ""
	case release.ActAdopt:
		action = "upgrade, and take over"
	case release.ActRefuse:
		action = "refused"
	case release.ActMove:
		action = "uninstall under the old name, then install"
	}
	return joined(action, cmp.Or(changeCounts(r.Changes), changeCounts(r.Drift)))
}

// changeCounts counts objects by what becomes of them, and hooks.
func changeCounts(list []helm.Change) string {
	counts, hooks := map[string]int{}, 0
	for _, c := range list {
		if c.Hook {
			hooks++
		} else {
			counts[c.Action]++
		}
	}
	var parts []string
	for _, action := range []string{"create", "update", "delete"} {
		if n := counts[action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, action))
		}
	}
	if hooks > 0 {
		parts = append(parts, plural(hooks, "hook"))
	}
	return strings.Join(parts, ", ")
}

// calm reports whether there is nothing to tell about a release.
func calm(r engine.PlanResult) bool {
	p := r.Release
	if r.Error != "" || len(r.Problems) > 0 || p == nil {
		return false
	}
	changes, failed := plannedRelease(*p)
	return p.State == release.InSync && !changes && !failed && len(p.Drift) == 0 && len(p.Warnings) == 0
}

// placed are problems with their places. Where the file is not known the summary
// says which value it is about.
func placed(list []release.Problem) []rollout.Problem {
	problems := make([]rollout.Problem, 0, len(list))
	for _, p := range list {
		summary := p.Summary
		if p.File == "" && p.Path != "" {
			summary = p.Path + ": " + summary
		}
		problems = append(problems, rollout.Problem{Severity: p.Severity, Summary: summary, Detail: p.Detail, File: p.File, Line: p.Line, Column: p.Column})
	}
	return problems
}

// nodeProblems are those of a node, or else of the last run of its release.
func nodeProblems(n engine.Node, r *release.Report) []rollout.Problem {
	if len(n.Problems) > 0 || r == nil {
		return n.Problems
	}
	return placed(r.Problems)
}
