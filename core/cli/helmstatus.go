package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

func newHelmStatus(a *app) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Show how a release stands, why, and what comes next",
		Long: `Show how a release stands to its declaration, why, and what comes next; what the
last run has done, which live objects differ, and the notes of the chart.`,
		Example: `  sluice helm status demo/ghost
  sluice helm status ghost -n demo -o json`,
		Args:              needs("NAME", 1, 1),
		ValidArgsFunction: a.completeReleases,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			d, err := client.HelmStatus(cmd.Context(), a.releaseName(args[0]))
			if err != nil {
				return err
			}
			if err := a.view(d, func(w io.Writer) error { return a.writeRelease(w, d) }); err != nil {
				return err
			}
			if check && !fine(d.HelmRelease) {
				return exitCode(ExitChanges)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "exit with 2 unless it is in sync")
	return cmd
}

func (a *app) writeRelease(w io.Writer, d engine.HelmDetail) error {
	if err := table(w, visible(releaseKey(d.HelmRelease)), func(row func(...any)) { releaseFields(d, row) }); err != nil {
		return err
	}
	a.renderProblems(w, nodeProblems(d.Node, d.Report))
	if d.Report != nil {
		a.planPrinter(w).report(d.Report, cmp.Or(d.Reason, d.Node.Reason), "  ")
	}
	if len(d.Conditions) > 0 {
		_, _ = fmt.Fprintln(w)
		err := table(w, "CONDITION\tSTATUS\tREASON\tSINCE\tMESSAGE", func(row func(...any)) {
			for _, c := range d.Conditions {
				since, _ := time.Parse(time.RFC3339, c.LastTransitionTime) // zero: unknown
				row(c.Type, c.Status, c.Reason, age(since), cut(firstLine(c.Message)))
			}
		})
		if err != nil {
			return err
		}
	}
	if notes := strings.TrimSpace(d.Notes); notes != "" {
		_, err := fmt.Fprintf(w, "\nNOTES:\n  %s\n", indentedBy("  ", notes))
		return err
	}
	return nil
}

func releaseFields(d engine.HelmDetail, row func(...any)) {
	field := func(name, value string) {
		for line := range strings.Lines(value) {
			row("  "+name, strings.TrimSuffix(line, "\n"))
			name = ""
		}
	}
	r := d.HelmRelease
	state := cmp.Or(releaseState(r), "-")
	if !d.Node.Since.IsZero() {
		state += " for " + age(d.Node.Since)
	}
	field("state", state)
	if s := r.Suspension; s != nil {
		field("suspended", suspensionText(*s))
	} else {
		field("reason", cmp.Or(r.Reason, d.Node.Reason))
	}
	field("to go on", cmp.Or(r.Unblock, d.Node.Unblock))
	if !r.NextAttempt.IsZero() {
		field("next", "in "+until(r.NextAttempt))
	}
	if r.Revision > 0 {
		field("revision", fmt.Sprintf("%d, %s %s ago", r.Revision, r.Status, age(r.Updated)))
	}
	field("chart", chartText(r.Chart, r.ChartVersion))
	field("  from", r.ChartFrom)
	field("  digest", r.ChartDigest)
	field("app version", r.AppVersion)
	field("tests", r.Tests)
	field("depends on", strings.Join(d.DependsOn, ", "))
	field("declared", r.Declared)
	for _, warning := range d.Warnings {
		field("warning", warning)
	}
	field("node", r.ID)
	field("applier", r.Applier)
}

// suspensionText tells who has stopped something, why, and until when.
func suspensionText(s engine.Suspension) string {
	text := "by " + cmp.Or(s.By, "somebody")
	if s.Config {
		text = "in the configuration"
	} else if !s.Since.IsZero() {
		text += " " + age(s.Since) + " ago"
	}
	if !s.Until.IsZero() {
		text += ", for another " + until(s.Until)
	}
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}

// report tells what the last run that did something has done, and what is not
// mended. reason has been told already.
func (p planPrinter) report(r *release.Report, reason, indent string) {
	if len(r.Steps) > 0 {
		p.printf("%slast steps:\n", indent)
		p.steps(r.Steps, reason, indent+"  ")
	}
	p.remains(r, reason, indent)
}

func (p planPrinter) steps(list []release.Step, reason, indent string) {
	for _, s := range list {
		p.printf("%s%s\n", indent, indentedBy(indent+"  ", stepText(s, reason)))
	}
}

// remains tells what is not as it should be.
func (p planPrinter) remains(r *release.Report, reason, indent string) {
	const most = 10 // objects
	for _, warning := range r.Warnings {
		p.printf("%swarning: %s\n", indent, indentedBy(indent+"  ", warning))
	}
	if len(r.Problems) == 0 && !tells(reason, r.Error) { // problems are told by whoever tells of the node
		p.printf("%serror: %s\n", indent, indentedBy(indent+"  ", r.Error))
	}
	if len(r.Drift) == 0 {
		return
	}
	p.printf("%snot as the release says, see `sluice helm diff`:\n", indent)
	for i, c := range r.Drift {
		if i == most {
			p.printf("%s  and %d more\n", indent, len(r.Drift)-most)
			break
		}
		c.Diff = ""
		p.changes([]helm.Change{c}, indent+"  ")
	}
}

// tells reports whether text is in reason, on whatever lines.
func tells(reason, text string) bool {
	fold := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	return strings.Contains(fold(reason), fold(text))
}

// stepText is what was done, when and why, and how it failed if reason does not say
// so.
func stepText(s release.Step, reason string) string {
	what := words(string(s.Action))
	if s.Error != "" {
		what += " failed"
	}
	if took := time.Duration(s.Took).Round(100 * time.Millisecond); took > 0 {
		what += ", " + took.String()
	}
	text := s.At.Local().Format(time.DateTime) + "  " + joined(what, s.Reason)
	if !tells(reason, s.Error) {
		text += "\n" + s.Error
	}
	return text
}

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// changes shows what differs of each object.
func (p planPrinter) changes(list []helm.Change, indent string) {
	for _, c := range list {
		mark := changeMarks[c.Action]
		line := fmt.Sprintf("%s%s %s", indent, cmp.Or(mark, "="), visible(changedObject(c)))
		if c.Problem != "" {
			mark = "!"
			line += "\n" + indent + "    " + indentedBy(indent+"    ", c.Problem)
		}
		p.printf("%s\n", p.paint(mark, line))
		p.diff(c.Diff, indent+"    ")
	}
}

// changeMarks are what the actions of a helm.Change are shown with.
var changeMarks = map[string]string{"create": "+", "update": "~", "delete": "-"}

// changedObject names an object as plans do; its group is not known.
func changedObject(c helm.Change) string {
	name := applier.Ref{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name}.String()
	if c.Hook {
		name += "  (hook)"
	}
	return name
}
