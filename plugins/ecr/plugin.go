// Command sluice-plugin-ecr offers the registry_credential "ecr": passwords
// for Amazon's Elastic Container Registry, private and public, and listings of
// tags with digests and push times. See README.md for its configuration.
//
// The name of a registry tells its account and region, so one instance serves
// any number of them. A session is an AWS configuration with the identity of
// the instance; provider and tags call ECR with it.
package main

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// version is set by the linker.
var version = "0.0.0-dev"

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "ecr",
		Version: version,
		Kinds: []sdk.Kind{registry.New("ecr", open,
			sdk.Doc("Credentials and tag listings of Amazon ECR: private registries of any account and region, and public.ecr.aws."))},
	}
}

// open makes a provider. It touches neither files nor the network: what is
// missing now may be there when it is needed.
func open(_ context.Context, c Config, env sdk.Env) (*provider, error) {
	return &provider{config: c, sessions: &sessions{config: c, log: env.Log}, log: env.Log}, nil
}
