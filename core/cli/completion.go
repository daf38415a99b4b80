package cli

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/workload"
)

// completeFrom offers what list finds that begins with prefix. Without a daemon
// there is nothing to offer.
func (a *app) completeFrom(cmd *cobra.Command, prefix string, list func(context.Context, *api.Client) ([]cobra.Completion, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	const patience = 2 * time.Second // of somebody who pressed a key
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	client, err := a.client(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found, err := list(ctx, client)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found = slices.DeleteFunc(found, func(c cobra.Completion) bool { return !strings.HasPrefix(c, prefix) })
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeWorkloads offers what runs: kind/name with -n, else with its
// namespace.
func (a *app) completeWorkloads(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, prefix, func(ctx context.Context, client *api.Client) ([]cobra.Completion, error) {
		answer, err := client.Workloads(ctx, workload.Request{Namespace: a.namespace})
		var names []cobra.Completion
		for _, w := range answer.Workloads {
			names = append(names, a.shortID(w.ID))
		}
		return names, err
	})
}

// shortID is how a workload may be written where -n says the namespace.
func (a *app) shortID(id string) string {
	if a.namespace == "" {
		return id
	}
	return strings.TrimPrefix(id, a.namespace+":")
}

// completeContainers offers the containers of the workloads that args name, or of
// all.
func (a *app) completeContainers(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if named, err := cmd.Flags().GetStringSlice("workload"); err == nil {
		args = slices.Concat(args, named)
	}
	return a.completeFrom(cmd, prefix, func(ctx context.Context, client *api.Client) ([]cobra.Completion, error) {
		answer, err := client.Workloads(ctx, workload.Request{Namespace: a.namespace})
		var names []cobra.Completion
		for _, w := range answer.Workloads {
			if len(args) > 0 && !slices.Contains(args, w.ID) && !slices.Contains(args, a.shortID(w.ID)) {
				continue
			}
			for _, c := range w.Containers {
				names = append(names, c.Name)
			}
		}
		slices.Sort(names)
		return slices.Compact(names), err
	})
}

// completeTags offers the containers as the beginning of --tag container=pattern.
func (a *app) completeTags(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names, directive := a.completeContainers(cmd, args, prefix)
	for i := range names {
		names[i] += "="
	}
	return names, directive | cobra.ShellCompDirectiveNoSpace
}

// completeJobs offers the jobs that the daemon remembers.
func (a *app) completeJobs(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, prefix, func(ctx context.Context, client *api.Client) ([]cobra.Completion, error) {
		list, err := client.Jobs(ctx)
		var ids []cobra.Completion
		for _, j := range list {
			ids = append(ids, cobra.CompletionWithDesc(j.ID, j.State+" "+cmp.Or(j.Asked, j.Kind)))
		}
		return ids, err
	})
}

// completeQuarantined offers the images that are in quarantine.
func (a *app) completeQuarantined(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeFrom(cmd, prefix, func(ctx context.Context, client *api.Client) ([]cobra.Completion, error) {
		list, err := client.Quarantined(ctx)
		var names []cobra.Completion
		for _, q := range list {
			names = append(names, q.Repository+":"+q.Tag)
		}
		return names, err
	})
}

// nodeKinds is which nodes a command takes.
type nodeKinds int

const (
	onlySyncs nodeKinds = iota
	plannable           // syncs and releases
	anyNode
)

// completeNodes offers the names of the configuration's syncs, and the addresses of
// other nodes that kinds has. Releases that resources declare are known to the
// daemon alone.
func (a *app) completeNodes(kinds nodeKinds) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []cobra.Completion
		if c, _ := config.Load(a.configPaths, config.Options{Env: os.LookupEnv}); c != nil {
			names = declaredNodes(c, kinds)
		}
		names = slices.DeleteFunc(names, func(n cobra.Completion) bool { return !strings.HasPrefix(n, prefix) })
		if kinds == anyNode {
			names = append(names, a.completeResources(cmd, prefix)...)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func declaredNodes(c *config.Config, kinds nodeKinds) []cobra.Completion {
	var names []cobra.Completion
	for _, s := range c.Syncs {
		names = append(names, s.Name)
	}
	if kinds != onlySyncs {
		for _, r := range c.Releases {
			names = append(names, r.Address)
		}
	}
	if kinds == anyNode {
		for _, s := range c.Sources {
			names = append(names, s.Address)
		}
		for _, m := range c.ImageAutomations {
			names = append(names, m.Address)
		}
	}
	return names
}

// completeResources offers the releases that no block declares.
func (a *app) completeResources(cmd *cobra.Command, prefix string) []cobra.Completion {
	found, _ := a.completeFrom(cmd, prefix, func(ctx context.Context, client *api.Client) ([]cobra.Completion, error) {
		answer, err := client.HelmReleases(ctx, engine.HelmListRequest{})
		var ids []cobra.Completion
		for _, r := range answer.Releases {
			if !strings.HasPrefix(r.ID, "release.") {
				ids = append(ids, r.ID)
			}
		}
		return ids, err
	})
	return found
}
