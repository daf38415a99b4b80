package main

import (
	"context"

	"github.com/sluice-gitops/sluice/plugins/helm/charts"
	"github.com/sluice-gitops/sluice/plugins/helm/cluster"
	"github.com/sluice-gitops/sluice/plugins/helm/releases"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// version is set when a release is built.
var version = "0.1.0-dev"

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "helm",
		Version: version,
		Kinds:   []sdk.Kind{helm.New("helm", open, sdk.Doc("Finds Helm charts and manages Helm releases."))},
	}
}

// instance is a helm: charts and releases.
type instance struct {
	*charts.Store
	*releases.Manager
	cluster *cluster.Cluster
}

var _ interface {
	helm.Helm
	helm.Lister
	helm.Reader
	helm.Comparer
	helm.RollbackPlanner
} = (*instance)(nil)

// open connects to the cluster of a block. It sends no request, so that a
// cluster that is down does not keep the daemon from starting.
func open(_ context.Context, c Config, env sdk.Env) (*instance, error) {
	agent := "sluice-plugin-helm/" + version
	connection, err := cluster.Connect(cluster.Options{
		Kubeconfig: c.Kubeconfig, Context: c.Context, InCluster: c.InCluster, Namespaces: c.Namespaces, UserAgent: agent,
	})
	if err != nil {
		return nil, err
	}
	manager, err := releases.New(connection, releases.Storage(c.Storage))
	if err != nil {
		return nil, err
	}
	store, err := charts.New(charts.Options{
		Dir: env.Dir, Host: env.Host, UserAgent: agent, MaxIndex: c.MaxIndex, MaxChart: c.MaxChart,
	})
	if err != nil {
		return nil, err
	}
	return &instance{store, manager, connection}, nil
}

// Close drops idle connections.
func (i *instance) Close() error {
	i.cluster.Close()
	return i.Store.Close()
}
