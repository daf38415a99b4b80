package resource

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Annotations of resources. They say what the fields of the Helm operator have
// no words for.
const (
	AnnotationOnRemove  = "sluice.dev/on-remove" // uninstall or keep
	AnnotationOnMove    = "sluice.dev/on-move"   // refuse or reinstall
	AnnotationAdopt     = "sluice.dev/adopt"     // true or false
	AnnotationSuspend   = "sluice.dev/suspend"   // true or false
	AnnotationReason    = "sluice.dev/suspend-reason"
	AnnotationDependsOn = "sluice.dev/depends-on" // name or namespace/name, comma-separated
	AnnotationDrift     = "sluice.dev/drift"      // correct, warn or off

	prefix = "sluice.dev/"

	// annotationMigrate told the Helm operator to convert a release of Helm 2.
	annotationMigrate = "helm.fluxcd.io/migrate"
)

var annotationNames = []string{AnnotationOnRemove, AnnotationOnMove, AnnotationAdopt, AnnotationSuspend, AnnotationReason, AnnotationDependsOn, AnnotationDrift}

// annotations reads those that are about releases, and returns them.
func (p *parser) annotations(meta *fields) map[string]string {
	a := &annotated{fields: meta.object("annotations"), values: map[string]string{}}
	p.Spec.Annotations = prefix
	p.KeepOnRemove = a.word(AnnotationOnRemove, "uninstall", "keep") == "keep"
	if a.word(AnnotationOnMove, "refuse", "reinstall") == "reinstall" {
		p.Spec.OnMove = release.MoveReinstall
	}
	p.Spec.Adopt = a.word(AnnotationAdopt, "true", "false") != "false"
	p.Suspended = a.word(AnnotationSuspend, "false", "true") == "true"
	p.SuspendReason = a.get(AnnotationReason)
	if mode := a.word(AnnotationDrift, "correct", "warn", "off"); mode != "correct" {
		p.Spec.Drift.Mode = release.DriftMode(mode)
	}
	p.DependsOn = p.dependsOn(a)
	if a.get(annotationMigrate) == "true" {
		a.warn(a.at(annotationMigrate), "If it still is one of Helm 2, use `helm 2to3 convert`.", "releases are not converted")
	}
	a.misspelt()
	p.KeepOnRemove = p.KeepOnRemove || a.unclear
	return a.values
}

// dependsOn reads the resources that must be ready before this one.
func (p *parser) dependsOn(a *annotated) []string {
	var names []string
	for entry := range strings.SplitSeq(a.get(AnnotationDependsOn), ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		namespace, name, found := strings.Cut(entry, "/")
		if !found {
			namespace, name = p.Ref.Namespace, entry
		}
		full := namespace + "/" + name
		switch {
		case badName(namespace, maxNamespace, false) != "" || badName(name, maxName, true) != "":
			a.advise(a.at(AnnotationDependsOn), "Separate resources by commas, each as name or as namespace/name.", "%q is no name of a resource", cut(entry, 100))
		case full == p.Ref.Namespace+"/"+p.Ref.Name:
			a.problem(a.at(AnnotationDependsOn), "a resource cannot depend on itself")
		case !slices.Contains(names, full):
			names = append(names, full)
		}
	}
	return names
}

// elsewhere reports whether an annotation, without its prefix, says something to
// the automation of images, or to a sync. Some are about one container:
// tag.web.
func elsewhere(name string) bool {
	key, _, _ := strings.Cut(name, ".")
	return slices.Contains(otherAnnotations, key)
}

var otherAnnotations = []string{
	"automated", "locked", "locked_user", "locked_msg", "ignore", "tag", "min_age", "platforms", "allow_downgrade", "digest",
	"owner", "origin", "revision", "names", "release",
}

// annotated reads annotations, and keeps those that were read.
type annotated struct {
	*fields
	values  map[string]string
	unclear bool // one of those may say, in words that nobody knows, that the release stays
}

// keeping are the annotations that keep a release whose resource goes.
var keeping = []string{AnnotationOnRemove, AnnotationSuspend}

func (a *annotated) get(name string) string {
	text := a.text(name)
	if text != "" {
		a.values[name] = text
	}
	return text
}

// word reads an annotation that is one of a few words. The first is what an
// absent one means.
func (a *annotated) word(name string, words ...string) string {
	text := a.get(name)
	if text == "" {
		return words[0]
	}
	if !slices.Contains(words, text) {
		a.problem(a.at(name), "not one of %s", strings.Join(words, ", "))
		a.unclear = a.unclear || slices.Contains(keeping, name)
		return words[0]
	}
	return text
}

// misspelt warns of annotations with our prefix that are none of those about
// releases, nor of those about other things that Sluice does with objects.
func (a *annotated) misspelt() {
	var ours []string
	for _, name := range annotationNames {
		ours = append(ours, strings.TrimPrefix(name, prefix))
	}
	for _, name := range slices.Sorted(maps.Keys(a.raw)) {
		rest, found := strings.CutPrefix(name, prefix)
		if !found || a.known[name] || elsewhere(rest) {
			continue
		}
		hint := "Those of releases are " + strings.Join(ours, ", ") + "."
		if near := diag.Nearest(rest, ours); near != "" {
			hint = "Did you mean " + prefix + near + "?"
			a.unclear = a.unclear || slices.Contains(keeping, prefix+near)
		}
		a.warn(a.at(name), hint, "there is no such annotation")
	}
}
