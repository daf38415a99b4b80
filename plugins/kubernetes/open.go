package main

import (
	"context"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// version is set when a release is built.
var version = "0.1.0-dev"

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "kubernetes",
		Version: version,
		Kinds: []sdk.Kind{
			applier.New("kubernetes", open, sdk.Doc("Applies objects to a Kubernetes cluster.")),
			registry.New("kubernetes", openKeychain, sdk.Doc("Answers with the image pull secrets of the workload that runs an image, and of its service account.")),
		},
	}
}

// open connects to the cluster of a block. It sends no request, so that a
// cluster that is down does not keep the daemon from starting.
func open(_ context.Context, c Config, env sdk.Env) (*target, error) {
	return newTarget(c, connection(c, env), version)
}

// openKeychain takes the block of an applier: what is not about the connection
// or the limit of namespaces means nothing to it. It sends no request.
func openKeychain(_ context.Context, c Config, env sdk.Env) (*keychain, error) {
	return newKeychain(c, connection(c, env))
}

func connection(c Config, env sdk.Env) cluster.Options {
	return cluster.Options{
		Kubeconfig: c.Kubeconfig,
		Context:    c.Context,
		InCluster:  c.InCluster,
		UserAgent:  "sluice-plugin-kubernetes/" + version,
		Log:        env.Log,
	}
}
