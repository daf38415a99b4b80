package main

import "github.com/sluice-gitops/sluice/sdk"

func main() { sdk.Main(plugin()) }
