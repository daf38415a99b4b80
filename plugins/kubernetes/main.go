// The kubernetes plugin makes Kubernetes clusters equal to sets of objects.
package main

import (
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// version is set when a release is built.
var version = "dev"

func main() {
	sdk.Main(sdk.Plugin{
		Name:    "kubernetes",
		Version: version,
		Kinds:   []sdk.Kind{applier.New("kubernetes", open, sdk.Doc("Applies objects to a Kubernetes cluster."))},
	})
}
