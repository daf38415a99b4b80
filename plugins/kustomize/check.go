package main

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// check looks for what a kustomization wants from elsewhere, which would fail
// later with less of an explanation. What it cannot read, kustomize refuses.
func (v *view) check(file string, data []byte) error {
	var k types.Kustomization
	if err := k.Unmarshal(data); err != nil {
		return nil //nolint:nilerr // kustomize reads it next, and reports the mistake
	}
	v.warn(file, &k)
	k.FixKustomization()
	for field, entries := range map[string][]string{
		"resources": k.Resources, "components": k.Components, "generators": k.Generators, "transformers": k.Transformers,
		"validators": k.Validators, "crds": k.Crds, "configurations": k.Configurations,
	} {
		for _, e := range entries {
			if remote(e) {
				return v.refuseRemote(file, field, e)
			}
		}
	}
	if len(k.HelmCharts) > 0 || len(k.HelmChartInflationGenerator) > 0 {
		return v.keep(problem(file, "helmCharts needs helm to run while rendering, which is not done",
			"Declare the chart as a release, or commit the output of helm template as a resource."))
	}
	return nil
}

// warn passes on what kustomize says of fields that will go, once a file.
func (v *view) warn(file string, k *types.Kustomization) {
	messages := k.CheckDeprecatedFields()
	if messages == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.warnings {
		if w.Subject.File == file {
			return
		}
	}
	for _, m := range *messages {
		m = strings.TrimSpace(strings.TrimPrefix(m, "# Warning: "))
		v.warnings = append(v.warnings, diag.Diagnostic{Severity: diag.Warning, Summary: m, Subject: &diag.Range{File: file}})
	}
}

func (v *view) refuseRemote(file, field, entry string) error {
	return v.keep(problem(file, fmt.Sprintf("%s: %q is not in the source", field, strings.TrimSpace(entry)), sentence(errOffline.Error())))
}

// keep remembers err if it is the first refusal.
func (v *view) keep(err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.refused == nil {
		v.refused = err
	}
	return err
}

// remote tells whether kustomize would take s for something to fetch, and not
// for a path: a URL, the address of a repository on GitHub, or one with a user.
func remote(s string) bool {
	s = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "git::")
	for _, prefix := range []string{"http://", "https://", "ssh://", "file://", "github.com/", "github.com:"} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return withUser.MatchString(s)
}

var withUser = regexp.MustCompile(`^[a-z][a-z0-9-]*@[^/:\n]+[/:]`)

// withOrigins adds to a kustomization that kustomize shall note in each object
// where it comes from. It returns data as it is if it cannot be read.
func withOrigins(data []byte) []byte {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return data
	}
	root := doc.Content[0]
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if strings.EqualFold(root.Content[i].Value, "buildMetadata") {
			list = root.Content[i+1]
		}
	}
	if list.Kind != yaml.SequenceNode {
		return data
	}
	for _, e := range list.Content {
		if e.Value == types.OriginAnnotations {
			return data
		}
	}
	if len(list.Content) == 0 {
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "buildMetadata"}, list)
	}
	list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: types.OriginAnnotations})
	changed, err := yaml.Marshal(&doc)
	if err != nil {
		return data
	}
	return changed
}

// asksForOrigins tells whether the kustomization itself wants the annotations
// of origins in its objects.
func asksForOrigins(data []byte) bool {
	var k types.Kustomization
	if err := k.Unmarshal(data); err != nil {
		return false
	}
	for _, m := range k.BuildMetadata {
		if m == types.OriginAnnotations {
			return true
		}
	}
	return false
}
