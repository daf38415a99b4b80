// Command sluice-plugin-generator offers the renderer "exec": what the commands
// of a .flux.yaml generate, as Flux v1 reads it. See README.md.
package main

import (
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// version is set by the linker.
var version = "0.0.0-dev"

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "generator",
		Version: version,
		Kinds: []sdk.Kind{
			renderer.New("exec", open, sdk.Doc("Runs the generators and updaters of .flux.yaml files. Whoever can write to the source can run programs as the daemon's user.")),
		},
	}
}
