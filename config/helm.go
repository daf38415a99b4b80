package config

import (
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

// kubernetesType is the type of the appliers and helms that are made where the
// configuration leaves them out, and helmType that of the latter.
const (
	kubernetesType = "kubernetes"
	helmType       = "helm"
)

var helmSchema = schema.Schema{Attributes: []schema.Attribute{
	{Name: "for_each"}, {Name: "applier"}, {Name: "resources"}, {Name: "uninstall_on_crd_delete"}, {Name: "cross_namespace"},
	{Name: "local_urls"}, {Name: "default_ref"}, {Name: "charts"}, {Name: "charts_path"},
}}

// What a Helm operator has where nobody says otherwise.
const (
	defaultChartRef   = "master"
	defaultChartsPath = "charts"
)

// Helm is one helm block, or one instance of it: what manages the releases of
// an applier's cluster. An applier has at most one.
type Helm struct {
	Block
	Applier              string // address
	Resources            bool   // follow the custom resources of the cluster that declare releases
	UninstallOnCRDDelete bool   // also when their definition is what is deleted
	CrossNamespace       bool   // they may read secrets and config maps of other namespaces
	LocalURLs            bool   // they may have values from URLs of the daemon's own host and link
	DefaultRef           string // of git, for a HelmRelease that names a repository and no ref
	Charts               string // address of the source that a FluxHelmRelease has its chart from; "": none
	ChartsPath           string // in the tree of Charts: slash-separated, relative to its root, clean
	Implicit             bool   // there is no block, only release blocks; it has the name of the applier
	Plugin               PluginConfig
}

func (l *loader) addHelm(b Block, a *arguments, p PluginConfig) {
	h := Helm{
		Block:                b,
		Applier:              a.applier(),
		Resources:            a.bool("resources", true),
		UninstallOnCRDDelete: a.bool("uninstall_on_crd_delete", false),
		CrossNamespace:       a.bool("cross_namespace", false),
		LocalURLs:            a.bool("local_urls", false),
		DefaultRef:           a.ref("default_ref", defaultChartRef),
		Charts:               a.reference("charts", kindSource),
		Plugin:               p,
	}
	if h.Charts != "" {
		h.ChartsPath, _ = l.within(element{text: a.string("charts_path", defaultChartsPath), at: a.at("charts_path")}, "source")
	} else if a.absent("charts") {
		a.stray("charts", "charts_path")
	}
	if h.Applier != "" {
		if first, ok := l.claim("helm of "+h.Applier, b.Address, a.at("applier")); !ok {
			l.errorf(a.at("applier"), "Two helms", "The releases of %s are managed by %s already, at %s. Remove %s or that one.",
				h.Applier, first.address, toRange(first.at), b.Address)
		}
	}
	l.cfg.Helms = append(l.cfg.Helms, h)
}

// ref returns a name of git: a branch, a tag or a commit.
func (a *arguments) ref(name, def string) string {
	s := a.string(name, def)
	if problem := checkRefName(strings.TrimPrefix(s, "refs/")); problem != "" {
		a.l.errorf(a.at(name), "Wrong ref", "%q can be no branch, tag or commit: %s.", s, problem)
	}
	return s
}

// addImplicitHelms adds a helm for each Kubernetes applier without one, for
// release blocks, also for those that were there before. It follows no custom
// resources: somebody else may do that, so that it takes a block to say so. A
// plugin that is not there is missed only where there are release blocks.
func (l *loader) addImplicitHelms() {
	var without []Applier
	for _, applier := range l.cfg.Appliers {
		if _, taken := l.claims["helm of "+applier.Address]; !taken && applier.Type == kubernetesType {
			without = append(without, applier)
		}
	}
	at, needed := l.firstOf(kindRelease)
	if len(without) == 0 || !needed && !l.hasHelmPlugin(l.headerOf(without[0])) {
		return
	}
	for _, applier := range without {
		l.addImplicitHelm(applier, at)
	}
}

// hasHelmPlugin reports whether there is a plugin for implicit helms, and warns
// if there is one that cannot be used: nobody asks for it, but without it
// releases that were declared before are left to themselves.
func (l *loader) hasHelmPlugin(at hcl.Range) bool {
	if l.schemas == nil {
		return true
	}
	_, _, err := l.schemas.Schema(kindHelm, helmType)
	if err != nil && !errors.Is(err, ErrNoPlugin) {
		l.warnf(at, noUsablePlugin(kindHelm, helmType), "%s", schemaProblem(kindHelm, helmType, err))
	}
	return err == nil
}

// addImplicitHelm adds the helm of applier, which the block at needs.
func (l *loader) addImplicitHelm(applier Applier, at hcl.Range) {
	b := Block{Address: kindHelm + "." + helmType + "." + applier.Name, Type: helmType, Name: applier.Name, Range: applier.Range}
	l.claim("helm of "+applier.Address, b.Address, at) // so that it is not missed again
	if other := l.blockOf(b.Address); other != nil {
		if slices.ContainsFunc(l.cfg.Helms, func(h Helm) bool { return h.Address == b.Address && h.Applier == "" }) {
			return // it may well be the one for this applier, which it fails to name
		}
		l.errorf(other.LabelRanges[1], "Name taken", "%s has no helm block, so that it gets one by this name. Name this block after the applier that it is for, or write one for %[1]s.", applier.Address)
		return
	}
	s, _ := l.schemaOf(kindHelm, helmType, at)
	if s == nil && l.schemas != nil {
		return // reported
	}
	header := l.headerOf(applier)
	p := PluginConfig{Kind: kindHelm, Type: helmType, root: &place{rng: header}}
	if s != nil {
		body := inheriting{hcl.EmptyBody(), l.attributesOf(applier.Address)}
		l.fillPlugin(&p, body, header, s, scope{})
	}
	l.cfg.Helms = append(l.cfg.Helms, Helm{Block: b, Applier: applier.Address, DefaultRef: defaultChartRef, Implicit: true, Plugin: p})
}

// headerOf returns the place of an applier's block, or of what made an
// implicit one.
func (l *loader) headerOf(applier Applier) hcl.Range {
	if b := l.blockOf(applier.Address); b != nil {
		return b.DefRange()
	}
	return applier.Plugin.root.rng
}

// firstOf returns the header of the first block of a kind.
func (l *loader) firstOf(kind string) (header hcl.Range, ok bool) {
	for _, d := range l.decls {
		if d.kind == kind {
			return d.block.DefRange(), true
		}
	}
	return hcl.Range{}, false
}

// helmOf returns the address of the helm that manages the releases of an
// applier; "", with a diagnostic, if there is none.
func (a *arguments) helmOf(applier string) string {
	if applier == "" {
		return ""
	}
	i := slices.IndexFunc(a.l.cfg.Helms, func(h Helm) bool { return h.Applier == applier })
	if i >= 0 {
		return a.l.cfg.Helms[i].Address
	}
	if _, failed := a.l.claims["helm of "+applier]; !failed {
		a.l.errorf(a.at("applier"), "No helm", "Nothing manages Helm releases for %s. Write helm \"helm\" \"NAME\" { applier = %[1]s } with what its plugin needs.", applier)
	}
	return ""
}

// inherited returns what the helm block of an instance has from its applier:
// arguments of the same name, which both plugins know.
func (l *loader) inherited(body hcl.Body, header hcl.Range, sc scope) hcl.Body {
	applier := l.content(body, header, helmSchema, sc).applier()
	if applier == "" {
		return body
	}
	return inheriting{body, l.attributesOf(applier)}
}

// attributesOf evaluates the arguments of an applier's block, where they stand.
func (l *loader) attributesOf(address string) hcl.Attributes {
	inst := l.instances[address]
	if inst == nil {
		return nil // an implicit one
	}
	evaluated := hcl.Attributes{}
	for name, attr := range inst.decl.block.Body.Attributes {
		if slices.Contains(namesOf(&applierSchema), name) {
			continue
		}
		if v, ok := l.eval(attr.Expr, scope{each: inst}); ok {
			evaluated[name] = &hcl.Attribute{Name: name, Expr: hcl.StaticExpr(v, attr.Expr.Range()), Range: attr.SrcRange, NameRange: attr.NameRange}
		}
	}
	return evaluated
}

// inheriting is a body with more attributes, for those that it does not have.
type inheriting struct {
	hcl.Body
	more hcl.Attributes
}

// PartialContent implements hcl.Body.
func (b inheriting) PartialContent(s *hcl.BodySchema) (*hcl.BodyContent, hcl.Body, hcl.Diagnostics) {
	content, rest, diags := b.Body.PartialContent(s)
	for _, want := range s.Attributes {
		if attr, known := b.more[want.Name]; known && content.Attributes[want.Name] == nil {
			if content.Attributes == nil {
				content.Attributes = hcl.Attributes{}
			}
			content.Attributes[want.Name] = attr
		}
	}
	return content, rest, diags
}
