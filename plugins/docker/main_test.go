package main

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/plugins/docker/internal/programtest"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

func TestMain(m *testing.M) {
	programtest.Main()
	goleak.VerifyTestMain(m)
}

type values = map[string]any

func request(host, repository string) registry.Request {
	return registry.Request{Host: host, Repository: repository}
}
