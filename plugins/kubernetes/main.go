// The kubernetes plugin makes Kubernetes clusters equal to sets of objects.
package main

import "github.com/sluice-gitops/sluice/sdk"

func main() { sdk.Main(plugin()) }
