package resource

import (
	"bytes"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// definition is a CustomResourceDefinition.
type definition struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	} `yaml:"metadata"`
	Spec struct {
		Group string `yaml:"group"`
		Names names  `yaml:"names"`
		Scope string `yaml:"scope"`
		// Of a definition that was made by its first API, this is true, which
		// does not go together with a schema.
		PreserveUnknownFields bool      `yaml:"preserveUnknownFields"`
		Versions              []version `yaml:"versions"`
	} `yaml:"spec"`
}

type names struct {
	Kind       string   `yaml:"kind"`
	ListKind   string   `yaml:"listKind"`
	Plural     string   `yaml:"plural"`
	Singular   string   `yaml:"singular"`
	ShortNames []string `yaml:"shortNames,omitempty,flow"`
	Categories []string `yaml:"categories,omitempty,flow"`
}

type version struct {
	Name         string              `yaml:"name"`
	Served       bool                `yaml:"served"`
	Storage      bool                `yaml:"storage"`
	Subresources map[string]struct{} `yaml:"subresources"`
	Columns      []column            `yaml:"additionalPrinterColumns"`
	Schema       struct {
		Root *schema `yaml:"openAPIV3Schema"`
	} `yaml:"schema"`
}

type column struct {
	Name        string `yaml:"name"`
	Type        string `yaml:"type"`
	JSONPath    string `yaml:"jsonPath"`
	Description string `yaml:"description,omitempty"`
}

// columns are what kubectl get shows, as the Helm operator had it.
var columns = []column{
	{"Release", "string", ".status.releaseName", "Name of the release"},
	{"Phase", "string", ".status.phase", "What is being done or was done last"},
	{"ReleaseStatus", "string", ".status.releaseStatus", "Status of the newest revision, as Helm has it"},
	{"Message", "string", `.status.conditions[?(@.type=="Released")].message`, "Why it is so"},
	{"Age", "date", ".metadata.creationTimestamp", ""},
}

// CRDs returns the definition of HelmRelease, or those of all Kinds, as YAML
// documents for kubectl apply. They may be applied over those of the Helm
// operator: see schema.
//
// Where both groups of HelmRelease are defined, kubectl takes the older one for
// what "helmrelease" means, so that nobody should have it without need.
func CRDs(all bool) []byte {
	list := definitions()
	if !all {
		list = list[:1]
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	for _, d := range list {
		if err := enc.Encode(d); err != nil {
			panic("resource: " + err.Error())
		}
	}
	return out.Bytes()
}

func definitions() []definition {
	kinds := Kinds()
	return []definition{
		// Two groups have a HelmRelease: the short names are the newer one's.
		define(kinds[0], names{Plural: "helmreleases", Singular: "helmrelease", ShortNames: []string{"hr", "hrs"}}, specSchema(false)),
		define(kinds[1], names{Plural: "helmreleases", Singular: "helmrelease"}, specSchema(true)),
		define(kinds[2], names{Plural: "fluxhelmreleases", Singular: "fluxhelmrelease", ShortNames: []string{"fhr"}}, fluxSpecSchema()),
	}
}

func define(kind applier.VersionedKind, n names, spec *schema) definition {
	n.Kind, n.ListKind = kind.Kind, kind.Kind+"List"
	d := definition{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"}
	d.Metadata.Name = n.Plural + "." + kind.Group
	d.Metadata.Labels = map[string]string{"app.kubernetes.io/name": "sluice"}
	d.Spec.Group, d.Spec.Names, d.Spec.Scope = kind.Group, n, "Namespaced"
	v := version{Name: kind.Version, Served: true, Storage: true, Subresources: map[string]struct{}{"status": {}}, Columns: columns}
	v.Schema.Root = &schema{
		Type:        "object",
		Description: kind.Kind + " declares a Helm release.",
		Properties:  properties{"spec": spec.relaxed(), "status": statusSchema()},
	}
	d.Spec.Versions = []version{v}
	return d
}

// phaseWords are the phases that a status may have. Migrating is one that only
// the Helm operator wrote.
func phaseWords() []string {
	words := []string{"Migrating"}
	for _, phase := range slices.Sorted(maps.Keys(effects)) {
		words = append(words, string(phase))
	}
	slices.Sort(words)
	return words
}
