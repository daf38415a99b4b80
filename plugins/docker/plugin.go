// Command sluice-plugin-docker offers two kinds of registry_credential:
// "docker_config", credentials from the files that docker, podman and
// Kubernetes write, and "exec", from a program of the user's. See README.md for
// their configuration.
package main

import (
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// version is set by the linker.
var version = "0.0.0-dev"

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "docker",
		Version: version,
		Kinds: []sdk.Kind{
			registry.New("docker_config", openFile, sdk.Doc("Credentials from docker's configuration file and the credential helpers that it names.")),
			registry.New("exec", openExec, sdk.Doc("Credentials from a program: a docker credential helper or a kubelet credential provider.")),
		},
	}
}
