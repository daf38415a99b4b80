package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/engine"
)

func newCredentials(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "credentials",
		Short: "Show where the credentials for registries come from",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newCredentialsList(a), newCredentialsExplain(a))
	return cmd
}

func newCredentialsList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show who is asked for credentials, in order, and what they gave",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			list, err := client.Credentials(cmd.Context())
			if err != nil {
				return err
			}
			return a.view(list, func(w io.Writer) error { return writeProviders(w, list) })
		},
	}
}

func writeProviders(w io.Writer, list []credentials.ProviderStatus) error {
	return table(w, "PROVIDER\tFOR\tOPEN\tASKED\tFAILED\tUSER\tEXPIRES\tCREDENTIAL\tERROR", func(row func(...any)) {
		for _, p := range list {
			name, match, open, asked, failed, problem := any(p.Provider), any(hosts(p.Match)), any(p.Open), any(p.Requests), any(p.Failures), p.Error
			if len(p.Cached) == 0 {
				row(name, match, open, asked, failed, "", "", "", problem)
			}
			for _, c := range p.Cached {
				if problem == "" {
					problem = c.Error
				}
				row(name, match, open, asked, failed, c.Username, expires(c.ExpiresAt), strings.TrimPrefix(c.ID, p.Provider+", "), problem)
				name, match, open, asked, failed, problem = "", "", "", "", "", ""
			}
		}
	})
}

// hosts names what a provider is for; -o json has all of it.
func hosts(match []string) string {
	const most = 3
	switch {
	case len(match) == 0:
		return "*"
	case len(match) > most:
		return fmt.Sprintf("%s and %d more", match[0], len(match)-1)
	}
	return strings.Join(match, " ")
}

func expires(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return when(t)
}

func newCredentialsExplain(a *app) *cobra.Command {
	var req engine.CredentialRequest
	cmd := &cobra.Command{
		Use:   "explain IMAGE",
		Short: "Tell who has a credential for an image, and what each one asked said",
		Long: `Ask everybody who may have a credential for an image, in order, and tell what
each said, who wins, until when, and what to do where it fails. No secret is
shown.

Without --workload and --namespace, it tells what the daemon itself would use.
Exits with 2 if there is an error.`,
		Example: `  sluice credentials explain quay.io/acme/web
  sluice credentials explain quay.io/acme/web --workload shop:deployment/web
  sluice credentials explain quay.io/acme/web -n shop --pull-secret regcred`,
		Args: needs("IMAGE", 1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Image, req.Namespace = args[0], a.namespace
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			x, err := client.ExplainCredential(cmd.Context(), req)
			if err != nil {
				return err
			}
			err = a.view(x, func(w io.Writer) error { return writeExplanation(w, x) })
			if err == nil && x.Error != "" {
				return exitCode(ExitChanges)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&req.Workload, "workload", "w", "", "whose pull secrets count: namespace:kind/name")
	_ = cmd.RegisterFlagCompletionFunc("workload", a.completeWorkloads)
	cmd.Flags().StringVar(&req.Applier, "applier", "", "address of the cluster, where there are several")
	cmd.Flags().StringVar(&req.ServiceAccount, "service-account", "", "service account of the pod, with -n")
	cmd.Flags().StringArrayVar(&req.PullSecrets, "pull-secret", nil, "pull secret of the pod, with -n; may be repeated")
	return cmd
}

func writeExplanation(w io.Writer, x credentials.Explanation) error {
	_, _ = fmt.Fprintf(w, "%s/%s", visible(x.Host), visible(x.Repository))
	if x.Consumer.Namespace != "" {
		_, _ = fmt.Fprintf(w, " for the namespace %s of %s", visible(x.Consumer.Namespace), x.Consumer.Applier)
	}
	switch {
	case x.Error != "":
		_, _ = fmt.Fprintf(w, ": %s\n", visible(x.Error))
	case x.Anonymous:
		_, _ = fmt.Fprintln(w, ": anonymous, nobody has a credential")
	default:
		_, _ = fmt.Fprintf(w, ": %s\n", visible(x.ID))
	}
	if x.Advice != "" {
		_, _ = fmt.Fprintln(w, visible(x.Advice))
	}
	_, _ = fmt.Fprintln(w)
	return table(w, "\tPROVIDER\tOUTCOME\tUSER\tSCOPE\tEXPIRES\tDETAIL", func(row func(...any)) {
		for _, s := range x.Chain {
			wins, end, detail := "", "", s.Error
			if s.Wins {
				wins = "->"
			}
			if s.Outcome == credentials.Answered {
				end = expires(s.ExpiresAt)
			}
			if detail == "" {
				detail = s.Reason
			}
			if !s.NextTry.IsZero() {
				detail = strings.TrimPrefix(detail+"; asked again "+when(s.NextTry), "; ")
			}
			outcome := string(s.Outcome)
			if s.Cached {
				outcome += " (cached)"
			}
			row(wins, s.Provider, outcome, s.Username, s.Scope, end, detail)
		}
	})
}
