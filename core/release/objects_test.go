package release_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestObjectsOfARevision(t *testing.T) {
	c := helm.Content{
		Manifest: secret.New("---\n# Source: a\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\n--- # Source: b\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: other}\n---\nbroken: [\n---\n# nothing\n"),
		Hooks:    secret.New("apiVersion: batch/v1\nkind: Job\nmetadata: {name: web-test}\n"),
	}
	want := []applier.Ref{
		{Version: "v1", Kind: "Service", Namespace: "demo", Name: "web"},
		{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "other", Name: "web"},
		{Group: "batch", Version: "v1", Kind: "Job", Namespace: "demo", Name: "web-test"},
	}
	if diff := cmp.Diff(want, release.Objects(c, "demo")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
