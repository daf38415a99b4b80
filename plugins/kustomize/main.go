package main

import "github.com/sluice-gitops/sluice/sdk"

func main() {
	stayOffline()
	sdk.Main(plugin())
}
