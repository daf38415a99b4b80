package main

import (
	"os"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk"
)

// env is what open gets, for tests that call it without a harness.
func env(dir string) sdk.Env {
	return sdk.Env{Log: hclog.NewNullLogger(), Dir: dir, Name: "source.git.test"}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
