package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// kustomizationNames are the files that kustomize reads as instructions.
var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml"}

// isKustomization reports whether a document is for kustomize, by its type.
func isKustomization(n *yaml.Node) bool {
	return strings.HasPrefix(document.String(n, "apiVersion"), "kustomize.config.k8s.io/")
}

// warnKustomization says so if leaving out a kustomization changes what is
// applied: the files beside it are applied as they stand. One that only lists
// those files changes nothing.
func (p *parser) warnKustomization(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	effects := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key := n.Content[i].Value; key {
		case "apiVersion", "kind", "metadata":
		case "resources":
			if leadsElsewhere(n.Content[i+1]) {
				effects[key] = true
			}
		default:
			effects[key] = true
		}
	}
	if len(effects) == 0 {
		return
	}
	p.add(diag.Warning, n.Line, n.Column, "the kustomization is not evaluated",
		fmt.Sprintf("What it says under %s has no effect; the files beside it are applied as they stand. To have it built, give the sync a renderer \"kustomize\".",
			strings.Join(sortedKeys(effects), ", ")))
}

// leadsElsewhere reports whether one of the resources is outside of the
// kustomization's own directory.
func leadsElsewhere(resources *yaml.Node) bool {
	return slices.ContainsFunc(document.Resolve(resources).Content, func(r *yaml.Node) bool {
		return strings.HasPrefix(r.Value, "..") || strings.Contains(r.Value, "://") || strings.Contains(r.Value, "?ref=")
	})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
