package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

var imageKindSchema = schema.Schema{Attributes: []schema.Attribute{
	{Name: "for_each"}, {Name: "group"}, {Name: "kind", Required: true}, {Name: "containers"}, {Name: "init_containers"}, {Name: "images"},
}}

// ImageKind is one image_kind block, or one instance of it: where a kind of
// objects that is not built in has its images. A path is the names of fields
// with dots between them, from the root of the object: "spec.template.spec.containers".
type ImageKind struct {
	Block
	Group          string            // "" for the core group
	Kind           string            // as written in manifests
	Containers     []string          // paths of lists of objects with a name and an image
	InitContainers []string          // the same
	Images         map[string]string // paths of images by the name of their container
}

// builtInKinds are those whose images are known without a block.
var builtInKinds = map[string][]string{
	"Deployment":            {"apps", "extensions"},
	"DaemonSet":             {"apps", "extensions"},
	"StatefulSet":           {"apps"},
	"ReplicaSet":            {"apps", "extensions"},
	"ReplicationController": {""},
	"Pod":                   {""},
	"CronJob":               {"batch"},
	"Job":                   {"batch"},
	"HelmRelease":           {"helm.fluxcd.io", "flux.weave.works", "helm.toolkit.fluxcd.io"},
	"FluxHelmRelease":       {"helm.integrations.flux.weave.works"},
}

func (l *loader) addImageKind(b Block, a *arguments) {
	k := ImageKind{
		Block:          b,
		Group:          a.group("group"),
		Kind:           a.kind("kind"),
		Containers:     texts(a.matching("containers", checkFieldPath)),
		InitContainers: texts(a.matching("init_containers", checkFieldPath)),
		Images:         a.fieldPaths("images"),
	}
	l.cfg.ImageKinds = append(l.cfg.ImageKinds, k)
	if a.absent("containers") && a.absent("init_containers") && a.absent("images") {
		l.errorf(a.header, "No images", "The block says nothing of where images are: write containers = [\"spec.template.spec.containers\"] or images = { NAME = \"spec.image\" }.")
	}
	if k.Kind == "" {
		return
	}
	name := strings.TrimSuffix(k.Kind+"."+k.Group, ".")
	if slices.Contains(builtInKinds[k.Kind], k.Group) {
		l.errorf(a.at("kind"), "Kind is built in", "Where %s has its images is known. Remove the block.", name)
		return
	}
	if first, ok := l.claim("kind "+name, b.Address, a.at("kind")); !ok {
		l.errorf(a.at("kind"), "Duplicate kind", "%s says already where %s has its images, at %s. Put both into one block.", first.address, name, toRange(first.at))
	}
}

var (
	groupName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)?$`)
	bareKind  = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	version   = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)
)

func (a *arguments) group(name string) string {
	text := a.string(name, "")
	group, _, versioned := strings.Cut(text, "/")
	switch {
	case versioned:
		a.l.errorf(a.at(name), "Wrong group", "%q is a group with a version; write %q, which is all its versions.", text, group)
	case version.MatchString(text):
		a.l.errorf(a.at(name), "Wrong group", "%q is a version. Write the group, or leave %q out for the core group.", text, name)
	case !groupName.MatchString(text):
		a.l.errorf(a.at(name), "Wrong group", "%q is no group such as \"argoproj.io\".", text)
	}
	return group
}

func (a *arguments) kind(name string) string {
	text := a.string(name, "")
	kind, group, grouped := strings.Cut(text, ".")
	switch {
	case a.absent(name): // which is reported
	case grouped && bareKind.MatchString(kind):
		a.l.errorf(a.at(name), "Wrong kind", "Kind and group stand apart: write kind = %q and group = %q.", kind, group)
	case !bareKind.MatchString(text):
		a.l.errorf(a.at(name), "Wrong kind", "%q is no kind as manifests have it, such as \"Rollout\".", text)
		return ""
	}
	return kind
}

// fieldPaths returns a map of paths of fields; nil if there is none.
func (a *arguments) fieldPaths(name string) map[string]string {
	v, at, ok := a.value(name, cty.Map(cty.String))
	if !ok {
		return nil
	}
	v, _ = v.UnmarkDeep()
	where := exprPlace(a.attrs[name].Expr)
	paths := map[string]string{}
	for key, elem := range v.AsValueMap() {
		if !elem.IsNull() {
			paths[key] = elem.AsString()
		}
	}
	for _, key := range slices.Sorted(maps.Keys(paths)) {
		if problem := checkContainer(key); problem != "" || strings.Contains(key, "*") {
			a.l.errorf(at, "Wrong value", "%q is no name of a container, such as \"web\".", key)
		}
		if problem := checkFieldPath(paths[key]); problem != "" {
			a.l.errorf(where.child(key).rng, "Wrong value", "%q is no value for %q: %s.", paths[key], name+"."+key, problem)
		}
	}
	return paths
}

var fieldPath = regexp.MustCompile(`^[A-Za-z0-9_/$-]+(\.[A-Za-z0-9_/$-]+)*$`)

// checkFieldPath says what is wrong with the path of a field.
func checkFieldPath(s string) string {
	plain := strings.NewReplacer("[*]", "", "[]", "").Replace(strings.TrimLeft(strings.Trim(s, "{}"), "$."))
	root, _, _ := strings.Cut(s, ".")
	switch {
	case root == "status", root == "metadata", root == "apiVersion", root == "kind":
		return "there are no images in " + root
	case fieldPath.MatchString(s) && !strings.HasPrefix(s, "$"):
		return ""
	case fieldPath.MatchString(plain):
		return "a path is names with dots between them; write \"" + plain + "\""
	}
	return "a path is names with dots between them, such as \"spec.template.spec.containers\""
}
