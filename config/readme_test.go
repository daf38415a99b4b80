package config

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

// section returns the part of README.md below the line that is, or starts
// with, heading, down to the next heading or block.
func section(t *testing.T, heading string) string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "\n"+heading)
	if !ok {
		t.Fatalf("README.md has no %q", heading)
	}
	if end := regexp.MustCompile("\n(#|The blocks?|Any number)").FindStringIndex(rest); end != nil && end[0] > 0 {
		rest = rest[:end[0]]
	}
	return rest
}

// rows returns the names in the first column of a table.
func rows(text string) []string {
	var names []string
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)").FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return names
}

func TestReadmeListsFunctions(t *testing.T) {
	l := newLoader(Options{})
	want := slices.Sorted(maps.Keys(l.functionsFor(".")))
	if diff := cmp.Diff(want, rows(section(t, "### Functions"))); diff != "" {
		t.Errorf("(-functions +README.md):\n%s", diff)
	}
}

func TestReadmeListsArguments(t *testing.T) {
	tests := map[string]schema.Schema{
		"### `source TYPE NAME`":              sourceSchema,
		"### `applier TYPE NAME`":             applierSchema,
		"### `registry_credential TYPE NAME`": credentialSchema,
		"### `sync NAME`":                     syncSchema,
		"### `renderer TYPE NAME`":            rendererSchema,
		"### `helm TYPE NAME`":                helmSchema,
		"### `release NAME`":                  releaseSchema,
		"The block `chart`":                   chartSchema,
		"The blocks `values_from`":            valuesFromSchema,
		"The block `on_failure`":              onFailureSchema,
		"The block `test`":                    testSchema,
		"The block `drift`":                   driftSchema,
		"Any number of `ignore`":              ignoreSchema,
		"The block `uninstall`":               uninstallSchema,
		"### `mirror URL`":                    mirrorSchema,
		"### `image_automation NAME`":         automationSchema,
		"The block `health`":                  healthSchema,
		"### `image_policy NAME`":             policySchema,
		"### `image_kind NAME`":               imageKindSchema,
		"The block `marker":                   markerSchema,
		"The block `prune`":                   pruneSchema,
		"The block `wait`":                    waitSchema,
		"### `sluice`":                        settingsSchema,
		"The block `api`":                     apiSchema,
		"The block `repository`":              repositorySchema,
		"### `plugin NAME`":                   pluginSchema,
		"### `images`":                        imagesSchema,
		"### `registry HOST`":                 registrySchema,
		"### `variable NAME`":                 variableSchema,
		"Any number of `validation`":          validationSchema,
	}
	for heading, s := range tests {
		var want []string
		for _, a := range s.Attributes {
			want = append(want, a.Name)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, rows(section(t, heading))); diff != "" {
			t.Errorf("%s (-accepted +README.md):\n%s", heading, diff)
		}
	}
}
