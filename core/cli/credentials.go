package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/engine"
)

func newCredentials(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "credentials",
		Short: "Show where the credentials for registries come from",
	}, newCredentialsList(a), newCredentialsExplain(a))
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
	var problems notes
	err := table(w, "PROVIDER\tFOR\tSTATE\tASKED\tFAILED\tUSER\tEXPIRES\tCREDENTIAL", func(row func(...any)) {
		for _, p := range list {
			problems.add(p.Provider, p.Error)
			first := []any{p.Provider, hosts(p.Match), state(p), p.Requests, p.Failures}
			if len(p.Cached) == 0 {
				row(append(first, "", "", "")...)
			}
			for _, c := range p.Cached {
				name := credentialOf(p, c)
				problems.add(p.Provider, c.Error)
				row(append(first, c.Username, expires(c.ExpiresAt), name)...)
				first = []any{"", "", "", "", ""}
			}
		}
	})
	if err != nil {
		return err
	}
	return problems.write(w)
}

// state is a word for how a provider is doing.
func state(p credentials.ProviderStatus) string {
	switch {
	case p.Error != "":
		return "failing"
	case p.Open:
		return "open"
	case p.Requests > 0:
		return "idle" // its plugin was closed meanwhile
	}
	return "not used yet"
}

// credentialOf is what the identity of a credential says beyond its provider.
func credentialOf(p credentials.ProviderStatus, c credentials.CachedStatus) string {
	if c.ID == p.Provider {
		return "for all of these"
	}
	name := strings.TrimPrefix(c.ID, p.Provider)
	if p.Origin == credentials.PullSecrets {
		name = strings.Replace(strings.TrimPrefix(name, "pull secrets"), " ("+p.Applier+")", "", 1)
	}
	return strings.TrimLeft(name, ", ")
}

// hosts names what a provider is for; -o json has all of it.
func hosts(match []string) string {
	const most = 2
	switch {
	case len(match) == 0:
		return "*"
	case len(match) > most:
		return fmt.Sprintf("%s, and %d more", match[0], len(match)-1)
	}
	return strings.Join(match, ", ")
}

// notes are what is too long for a table, to stand below it: each text once,
// with all that it is about.
type notes struct {
	texts []string
	about map[string][]string
}

// add notes text about name, which text need not name too; an empty one is none.
func (n *notes) add(name, text string) {
	text = strings.TrimPrefix(text, name+": ")
	if text == "" || slices.Contains(n.about[text], name) {
		return
	}
	if n.about == nil {
		n.about = map[string][]string{}
	}
	if n.about[text] == nil {
		n.texts = append(n.texts, text)
	}
	n.about[text] = append(n.about[text], name)
}

func (n *notes) write(w io.Writer) error {
	for i, text := range n.texts {
		if i == 0 {
			_, _ = fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", visible(strings.Join(n.about[text], ", ")), visible(text)); err != nil {
			return err
		}
	}
	return nil
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
			if err := checkConsumer(req); err != nil {
				return err
			}
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

// checkConsumer refuses flags that would have no effect.
func checkConsumer(req engine.CredentialRequest) error {
	flag := "--pull-secret"
	switch {
	case req.ServiceAccount != "":
		flag = "--service-account"
	case len(req.PullSecrets) == 0:
		return nil
	}
	switch {
	case req.Workload != "":
		return withHint(fmt.Errorf("%s does not go with --workload, which has its own", flag), "leave one of them out")
	case req.Namespace == "":
		return withHint(fmt.Errorf("%s is in a namespace, which is missing", flag), "add -n NAMESPACE, or name a workload instead: --workload NAMESPACE:KIND/NAME")
	}
	return nil
}

func writeExplanation(w io.Writer, x credentials.Explanation) error {
	_, _ = fmt.Fprintf(w, "%s/%s", visible(x.Host), visible(x.Repository))
	if x.Consumer.Namespace != "" {
		_, _ = fmt.Fprintf(w, " for the namespace %s of %s", visible(x.Consumer.Namespace), x.Consumer.Applier)
	}
	switch {
	case x.Error != "" && len(x.Chain) > 0: // the steps tell it
		_, _ = fmt.Fprintln(w, ": no credential, see below")
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
	if len(x.Chain) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(w)
	return writeSteps(w, x.Chain)
}

func writeSteps(w io.Writer, chain []credentials.Step) error {
	var details notes
	err := table(w, "\tPROVIDER\tOUTCOME\tUSER\tSCOPE\tEXPIRES", func(row func(...any)) {
		for _, s := range chain {
			wins, end := "", ""
			if s.Wins {
				wins = "->"
			}
			if s.Outcome == credentials.Answered {
				end = expires(s.ExpiresAt)
			}
			outcome := string(s.Outcome)
			if s.Cached {
				outcome += " (cached)"
			}
			row(wins, s.Provider, outcome, s.Username, s.Scope, end)
			details.add(s.Provider, detail(s))
		}
	})
	if err != nil {
		return err
	}
	return details.write(w)
}

// detail is what there is to say of a step beyond its outcome.
func detail(s credentials.Step) string {
	why := s.Reason
	if s.Error != "" {
		why = strings.TrimPrefix(s.Error, s.Provider+": ")
	}
	if s.NextTry.IsZero() {
		return why
	}
	return strings.TrimPrefix(why+"; asked again "+when(s.NextTry), "; ")
}
