package main

import (
	"os"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

// TestConformance runs the SDK's suite for appliers over the full wire.
func TestConformance(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	var items []applier.Item
	for i, name := range []string{"one", "two", "three"} {
		items = append(items, applier.Item{File: name + ".yaml", Line: 1 + i, Object: decodeYAML(t, configMap(ns, name, "x")).Object})
	}
	app := decodeYAML(t, strings.NewReplacer("NS", ns, "NAME", "runs").Replace(appManifest[:strings.Index(appManifest, "---")]))
	items = append(items, applier.Item{File: "app.yaml", Line: 1, Object: app.Object})
	sdktest.Applier(t, plugin(), "kubernetes", map[string]any{
		"kubeconfig":          os.Getenv(kubeconfigVariable),
		"inventory_namespace": target.config.InventoryNamespace,
	}, items)
}
