package main

import (
	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk"
)

// env is what open gets, for tests that call it without a harness.
func env(dir string) sdk.Env {
	return sdk.Env{Log: hclog.NewNullLogger(), Dir: dir, Name: "source.git.test"}
}
