package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/api"
)

func newHelmValues(a *app) *cobra.Command {
	var req api.HelmValuesRequest
	cmd := &cobra.Command{
		Use:   "values NAME",
		Short: "Show the values of a release",
		Long: `Show the values that a release was made with, of its newest revision or of
another, as YAML: those given to the chart, or with --all those of the chart too.
With --declared they are composed anew from where the declaration says, whatever
is installed.

Values may be secrets. Hidden are what came from Secrets, as far as that is known;
what is at or below a key that sounds like one (password, token, secret,
credentials, api key, private key ...); variables with such a name; private keys;
passwords in URLs. That is a help and no proof: --show-secrets shows all of it.`,
		Example: `  sluice helm values demo/ghost
  sluice helm values demo/ghost --revision 3 --all
  sluice helm values demo/ghost --declared -o json`,
		Args:              needs("NAME", 1, 1),
		ValidArgsFunction: a.completeReleases,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case req.Revision < 0 || req.Revision == 0 && cmd.Flags().Changed("revision"):
				return withHint(fmt.Errorf("--revision %d: want the number of one", req.Revision), "`sluice helm history %s` shows them", args[0])
			case req.Declared && req.Revision > 0:
				return withHint(errors.New("--declared does not go with --revision"), "leave out one of them")
			}
			req.Name = a.releaseName(args[0])
			return a.helmValues(cmd.Context(), req)
		},
	}
	cmd.Flags().IntVar(&req.Revision, "revision", 0, "of this revision (default: the newest)")
	cmd.Flags().BoolVarP(&req.All, "all", "a", false, "with the values of the chart itself")
	cmd.Flags().BoolVar(&req.Declared, "declared", false, "composed as the declaration says now")
	cmd.Flags().BoolVar(&req.ShowSecrets, "show-secrets", false, "hide nothing")
	return cmd
}

func (a *app) helmValues(ctx context.Context, req api.HelmValuesRequest) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	v, err := client.HelmValues(ctx, req)
	if err != nil {
		return err
	}
	if v.Masked > 0 {
		a.tellNotes([]string{were(v.Masked, "value") + " hidden: --show-secrets shows them"})
	}
	return a.view(v.Values, func(w io.Writer) error { return writeYAML(w, v.Values) })
}

func newHelmTemplate(a *app) *cobra.Command {
	var showSecrets bool
	cmd := &cobra.Command{
		Use:   "template NAME",
		Short: "Print the objects of a release as it is declared",
		Long: `Print the objects of a release as its chart and values render now, as YAML: those
of crds/, then those of templates, then hooks. Nothing is changed.

What is in Secrets is hidden unless --show-secrets is given. What other objects
make of secret values is shown.`,
		Example: `  sluice helm template demo/ghost
  sluice helm template demo/ghost --show-secrets | kubectl diff -f -`,
		Args:              needs("NAME", 1, 1),
		ValidArgsFunction: a.completeReleases,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.helmTemplate(cmd.Context(), args[0], showSecrets)
		},
	}
	cmd.Flags().BoolVar(&showSecrets, "show-secrets", false, "hide nothing")
	return cmd
}

func (a *app) helmTemplate(ctx context.Context, name string, showSecrets bool) error {
	if a.output.machine() && a.output != outputYAML {
		return withHint(fmt.Errorf("sluice helm template has no -o %s", a.output.String()), "it prints YAML")
	}
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	masked, err := client.HelmTemplate(ctx, a.releaseName(name), showSecrets, a.Out)
	if err == nil && masked > 0 {
		_, _ = fmt.Fprintf(a.Err, "note: what is in %s is hidden: --show-secrets shows it\n", plural(masked, "Secret"))
	}
	return err
}
