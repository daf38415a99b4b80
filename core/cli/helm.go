package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/release"
)

func newHelm(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "helm",
		Short: "Show and operate Helm releases",
		Long: `Show and operate the Helm releases that release blocks and HelmRelease resources
declare.

A release is named by its namespace and name, demo/ghost, or ghost with -n demo;
by the name of its block, ghost; or as ` + "`sluice status`" + ` names it, release.ghost.
The name of a release that its declaration has moved away from means that one, as
long as it is there. What no declaration here has made is shown, but not touched.
The helm command sees the same releases. What it changes of a declared one is
put back, so that ` + "`sluice helm rollback`" + ` is the way to do that by hand.`,
	}, newHelmList(a), newHelmStatus(a), newHelmHistory(a), newHelmDiff(a), newHelmValues(a), newHelmTemplate(a),
		newHelmRollback(a), newHelmTest(a), newHelmUninstall(a), newHelmUpgrade())
}

// newHelmUpgrade tells those who look for helm's command what there is instead.
func newHelmUpgrade() *cobra.Command {
	return &cobra.Command{
		Use:                "upgrade NAME",
		Aliases:            []string{"install"},
		Hidden:             true,
		DisableFlagParsing: true, // helm's flags
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHint(fmt.Errorf("there is no sluice helm %s: a release is installed and upgraded as it is declared", cmd.CalledAs()),
				"change its declaration, or have it looked at now: sluice sync NAME --wait")
		},
	}
}

// releaseName is how the daemon is asked for a release that a person has named:
// with the namespace of -n, unless the name has one, or is a node's.
func (a *app) releaseName(name string) string {
	if a.namespace == "" || strings.ContainsAny(name, "/:") || strings.HasPrefix(name, "release.") {
		return name
	}
	return a.namespace + "/" + name
}

// completeReleases offers the declared releases: names with -n, else with their
// namespaces.
func (a *app) completeReleases(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeFrom(cmd, prefix, func(ctx context.Context, client *api.Client) ([]cobra.Completion, error) {
		answer, err := client.HelmReleases(ctx, engine.HelmListRequest{Namespace: a.namespace})
		var names []cobra.Completion
		for _, r := range answer.Releases {
			if a.namespace != "" {
				names = append(names, r.Name)
			} else {
				names = append(names, releaseKey(r))
			}
		}
		return names, err
	})
}

func releaseKey(r engine.HelmRelease) string { return r.Namespace + "/" + r.Name }

// chartText is a chart as Helm writes it: ghost-1.2.3.
func chartText(name, version string) string {
	if name == "" || version == "" {
		return name + version
	}
	return name + "-" + version
}

// releaseState is how a release stands, in a word or two: what its declaration
// makes of it, unless that is stopped.
func releaseState(r engine.HelmRelease) string {
	state, stands := string(r.State), strings.ReplaceAll(string(r.Release), "_", " ")
	switch {
	case r.State == engine.Ready && stands != "": // unknown, if somebody else was at work since
		return stands
	case r.Release == "" || r.Release == release.Unknown || stands == state || r.State == engine.Suspended || r.State == engine.Running:
		return state
	}
	return state + ", " + stands
}
