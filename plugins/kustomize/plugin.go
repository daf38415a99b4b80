// Command sluice-plugin-kustomize offers the renderer "kustomize": the objects
// of kustomizations, built by kustomize's own library in this process. See
// README.md for what differs from the kustomize command.
package main

import (
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// version is set by the linker.
var version = "0.0.0-dev"

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "kustomize",
		Version: version,
		Kinds: []sdk.Kind{
			renderer.New("kustomize", open, sdk.Doc("Builds the kustomization in each path. Nothing is fetched and no program is run: bases, files and generators are those of the tree.")),
		},
	}
}
