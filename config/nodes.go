package config

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

const (
	minInterval = time.Second

	defaultSourceInterval = time.Minute
	defaultSourceTimeout  = 5 * time.Minute

	defaultRendererTimeout = 5 * time.Minute
)

// What the host owns in the blocks of plugins.
var (
	sourceSchema = schema.Schema{Attributes: []schema.Attribute{
		{Name: "for_each"}, {Name: "interval"}, {Name: "timeout"}, {Name: "suspend"},
	}}
	applierSchema    = schema.Schema{Attributes: []schema.Attribute{{Name: "for_each"}}}
	credentialSchema = schema.Schema{Attributes: []schema.Attribute{{Name: "for_each"}, {Name: "match"}}}
	rendererSchema   = schema.Schema{Attributes: []schema.Attribute{{Name: "for_each"}, {Name: "timeout"}}}
)

// loadDecls decodes every block with instances.
func (l *loader) loadDecls() {
	for _, d := range l.decls {
		switch d.kind {
		case kindSource:
			l.loadPlugged(d, sourceSchema, l.addSource)
		case kindApplier:
			l.loadPlugged(d, applierSchema, l.addApplier)
		case kindCredential:
			l.loadPlugged(d, credentialSchema, l.addCredential)
		case kindRenderer:
			l.loadPlugged(d, rendererSchema, l.addRenderer)
		}
	}
	l.addImplicitApplier()
	for _, d := range l.decls {
		if d.kind == kindHelm {
			l.loadPlugged(d, helmSchema, l.addHelm)
		}
	}
	l.addImplicitHelms()
	for _, d := range l.decls {
		switch d.kind {
		case kindSync:
			l.loadOwn(d, syncSchema, l.addSync)
		case kindRelease:
			l.loadOwn(d, releaseSchema, l.addRelease)
		case kindPolicy:
			l.loadOwn(d, policySchema, l.addPolicy)
		case kindAutomation:
			l.loadOwn(d, automationSchema, l.addAutomation)
		case kindImageKind:
			l.loadOwn(d, imageKindSchema, l.addImageKind)
		}
	}
}

// loadOwn decodes the instances of a block that is the host's alone, and hands
// each to add.
func (l *loader) loadOwn(d *decl, s schema.Schema, add func(Block, *arguments)) {
	nameChecker{l: l}.check(d.block.Body, &s, describe(d.block))
	if !l.expand(d, d.block.DefRange()) {
		return
	}
	for _, inst := range d.each.instances {
		sc := scope{each: inst}
		if body, ok := l.dynamic(d.block.Body, sc); ok {
			add(inst.block(), l.content(body, d.block.DefRange(), s, sc))
		}
	}
}

// loadPlugged decodes the instances of a block that a plugin and the host
// share, and hands each to add.
func (l *loader) loadPlugged(d *decl, host schema.Schema, add func(Block, *arguments, PluginConfig)) {
	s, by := l.schemaOf(d.kind, d.typ, d.block.LabelRanges[0])
	if s != nil && !l.clash(host, s, by, d.block.LabelRanges[0]) {
		if by != "" {
			by = " (declared by " + by + ")"
		}
		nameChecker{l: l, by: by}.check(d.block.Body, merge(host, *s), d.kind+" "+quote(d.typ))
	}
	if !l.expand(d, d.block.DefRange()) {
		return
	}
	for _, inst := range d.each.instances {
		sc := scope{each: inst}
		body, ok := l.dynamic(d.block.Body, sc)
		if !ok {
			continue
		}
		p := PluginConfig{Kind: d.kind, Type: d.typ, root: &place{rng: d.block.DefRange()}}
		if s != nil {
			own := body
			if d.kind == kindHelm {
				own = l.inherited(body, d.block.DefRange(), sc)
			}
			l.decodePlugin(&p, own, d.block.DefRange(), s, sc)
		} else {
			// The names cannot be checked, but what they refer to can.
			l.context(needs(d.block.Body, nil), sc, d.block.TypeRange.Filename)
		}
		add(inst.block(), l.content(body, d.block.DefRange(), host, sc), p)
	}
}

// clash reports the names in s that belong to the host.
func (l *loader) clash(host schema.Schema, s *schema.Schema, by string, at hcl.Range) bool {
	found := false
	for _, name := range namesOf(s) {
		if slices.Contains(namesOf(&host), name) {
			l.errorf(at, "Plugin does not fit", "The argument %q belongs to the host, but %s declares it too. Use another version of the plugin.", name, by)
			found = true
		}
	}
	return found
}

func (i *instance) block() Block {
	return Block{Address: i.address, Type: i.decl.typ, Name: i.name, Range: toRange(i.decl.block.DefRange())}
}

func (l *loader) addSource(b Block, a *arguments, p PluginConfig) {
	l.cfg.Sources = append(l.cfg.Sources, Source{
		Block:    b,
		Interval: a.duration("interval", defaultSourceInterval, minInterval),
		Timeout:  a.duration("timeout", defaultSourceTimeout, minInterval),
		Suspend:  a.bool("suspend", false),
		Plugin:   p,
	})
}

func (l *loader) addApplier(b Block, _ *arguments, p PluginConfig) {
	l.cfg.Appliers = append(l.cfg.Appliers, Applier{Block: b, Plugin: p})
}

func (l *loader) addRenderer(b Block, a *arguments, p PluginConfig) {
	l.cfg.Renderers = append(l.cfg.Renderers, Renderer{
		Block:   b,
		Timeout: a.duration("timeout", defaultRendererTimeout, minInterval),
		Plugin:  p,
	})
}

func (l *loader) addCredential(b Block, a *arguments, p PluginConfig) {
	var match []Pattern
	elements := a.strings("match")
	if elements != nil && len(elements) == 0 {
		l.warnf(a.at("match"), "No patterns", "An empty match is the same as none: the block is asked for all images that its type is for. Leave it out, or name registries.")
	}
	for _, e := range elements {
		match = append(match, Pattern{Text: e.text, Range: toRange(e.at)})
	}
	l.cfg.Credentials = append(l.cfg.Credentials, Credential{Block: b, Match: match, Plugin: p})
}

// addImplicitApplier adds the applier that a configuration without one means:
// Kubernetes, where the plugin finds a cluster by itself.
func (l *loader) addImplicitApplier() {
	if _, declared := l.firstOf(kindApplier); declared {
		return
	}
	user := slices.IndexFunc(l.decls, func(d *decl) bool { return slices.Contains([]string{kindSync, kindRelease, kindHelm}, d.kind) })
	if user < 0 {
		return
	}
	header := l.decls[user].block.DefRange()
	p := PluginConfig{Kind: kindApplier, Type: kubernetesType, root: &place{rng: header}}
	if s, _ := l.schemaOf(p.Kind, p.Type, header); s != nil {
		l.decodePlugin(&p, hcl.EmptyBody(), header, s, scope{})
	}
	b := Block{Address: "applier.kubernetes.default", Type: p.Type, Name: "default", Range: toRange(header)}
	l.cfg.Appliers = append(l.cfg.Appliers, Applier{Block: b, Plugin: p})
}

// schemaOf returns the schema of a plugin's type and who declares it; nil if
// it is not known, which is reported once for each type.
func (l *loader) schemaOf(kind, typ string, at hcl.Range) (*schema.Schema, string) {
	if l.schemas == nil || l.noSchema[kind+"/"+typ] {
		return nil, ""
	}
	s, by, err := l.schemas.Schema(kind, typ)
	if err != nil {
		l.noSchema[kind+"/"+typ] = true
		if list, ok := diag.From(err); ok && list[0].Subject != nil {
			l.list = append(l.list, list...) // in another file, the same for each type
			return nil, ""
		}
		l.errorf(at, noUsablePlugin(kind, typ), "%s", schemaProblem(kind, typ, err))
		return nil, ""
	}
	return s, by
}

func noUsablePlugin(kind, typ string) string {
	return "No usable plugin for " + kind + " " + quote(typ)
}

// schemaProblem says why there is no schema, as a sentence.
func schemaProblem(kind, typ string, err error) string {
	return fullStop(upperFirst(strings.TrimPrefix(err.Error(), kind+"/"+typ+": ")))
}

// fullStop ends a sentence that has no end.
func fullStop(s string) string {
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".?!") {
		return s
	}
	return s + "."
}
