package cli

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/updates"
)

func newImagesWhy(a *app) *cobra.Command {
	var req updates.WhyImagesRequest
	cmd := &cobra.Command{
		Use:   "why WORKLOAD",
		Short: "Explain why images of a workload are, or are not, replaced",
		Long: `Explain, for each container of a workload, what git says and what runs, which
policy holds and where it is written, what it would write and what holds that
back, and then each tag of the repository with the rule that took or refused it.
Registries are asked for what is not known yet, no longer than --timeout.`,
		Example: `  sluice images why shop:deployment/web
  sluice images why -n shop deployment/web --container web -o json`,
		Args:              needs("WORKLOAD", 1, 1),
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Workload, req.Namespace = args[0], a.namespace
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			p := a.progress()
			stop := a.tellScans(cmd.Context(), client, p)
			list, err := client.WhyImages(cmd.Context(), req)
			stop()
			p.end()
			if err != nil {
				return err
			}
			return a.view(list, func(w io.Writer) error { return writeWhyImages(w, list) })
		},
	}
	cmd.Flags().StringVar(&req.Container, "container", "", "only this container")
	cmd.Flags().DurationVar(&req.Timeout, "timeout", 2*time.Minute, "how long to wait for registries; what is known is shown in any case")
	_ = cmd.RegisterFlagCompletionFunc("container", a.completeContainers)
	return cmd
}

func writeWhyImages(w io.Writer, list []updates.WhyImage) error {
	for i, x := range list {
		if i > 0 {
			_, _ = fmt.Fprintln(w)
		}
		if err := writeWhyImage(w, x); err != nil {
			return err
		}
	}
	return nil
}

func writeWhyImage(w io.Writer, x updates.WhyImage) error {
	err := table(w, visible(x.Workload+" "+x.Container), func(row func(...any)) {
		field := func(name, value string) {
			if value != "" {
				row("  "+name, value)
			}
		}
		field("in git", inGit(x))
		field("runs", cmp.Or(x.Running, "not in the cluster"))
		field("sync", x.Sync)
		field("policy", policyText(x))
		field("registry", registryText(x))
		field("outcome", outcomeText(x))
		field("held back", x.Blocked)
	})
	if err != nil || len(x.Selection.Tags) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(w)
	return table(w, "  TAG\tVERDICT\tWHY", func(row func(...any)) {
		for _, t := range x.Selection.Tags {
			verdict := "refused"
			switch {
			case t.Tag == x.Selection.Selected:
				verdict = "selected"
			case t.Accepted:
				verdict = "accepted"
			}
			row("  "+t.Tag, verdict, t.Reason)
		}
	})
}

func inGit(x updates.WhyImage) string {
	switch {
	case x.Image == "":
		return "not there"
	case x.File == "":
		return x.Image
	}
	return fmt.Sprintf("%s (%s:%d)", x.Image, x.File, x.Line)
}

// policyText is the pattern, where it stands, and whether anybody acts on it.
func policyText(x updates.WhyImage) string {
	text := cmp.Or(x.Policy, "none")
	if x.Source != "" {
		text += ", by " + x.Source
	}
	if !x.Automated {
		text += "; not automated"
	}
	return text
}

// registryText says how fresh what is known of the registry is.
func registryText(x updates.WhyImage) string {
	switch {
	case x.View == nil:
		return ""
	case x.View.Scanned.IsZero():
		return joined("not looked at yet", cmp.Or(x.View.Error, x.View.Skipped))
	}
	text := x.View.Repository + ", seen " + age(x.View.Scanned) + " ago"
	if x.View.Error != "" {
		text += "; since then: " + x.View.Error
	}
	return text
}

// outcomeText is what the policy comes to.
func outcomeText(x updates.WhyImage) string {
	s := x.Selection
	text := s.Reason
	if s.Error != "" {
		text = s.Error
	}
	if x.Target != "" {
		text = joined("to be replaced by "+x.Target, s.Reason)
	}
	if !s.NotBefore.IsZero() {
		text += "; looked at again at " + s.NotBefore.Format(time.RFC3339)
	}
	return cmp.Or(text, "stays as it is")
}
