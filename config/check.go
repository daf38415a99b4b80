package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// markUses notes which variables, locals and blocks are mentioned anywhere,
// whether or not the expression that does so can be evaluated.
func (l *loader) markUses(inputs []input) {
	for _, in := range inputs {
		for _, b := range in.body.Blocks {
			for _, t := range needs(b.Body, nil) {
				if b.Type == "variable" && slices.Equal(steps(t), []string{"var", b.Labels[0]}) {
					continue // a variable's validation is no use of it
				}
				l.markUse(t)
			}
		}
	}
}

func (l *loader) markUse(t hcl.Traversal) {
	written := steps(t)
	switch written[0] {
	case "var", "local":
		if len(written) == 1 {
			l.used[written[0]] = true // computed: all of them
			return
		}
		l.used[written[0]+"."+written[1]] = true
	default:
		for _, d := range l.below(written) {
			l.used[d.address()] = true
		}
	}
}

// checkUnused warns of what nothing mentions.
func (l *loader) checkUnused() {
	for _, b := range l.hostBlocks {
		if b.Type == "variable" && !l.used["var"] && !l.used["var."+b.Labels[0]] {
			l.warnf(b.DefRange(), "Unused variable", "Nothing refers to var.%s. Remove it, or use it.", b.Labels[0])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.locals)) {
		if !l.used["local"] && !l.used["local."+name] {
			l.warnf(l.locals[name].attr.NameRange, "Unused local value", "Nothing refers to local.%s. Remove it, or use it.", name)
		}
	}
	count := map[string]int{}
	for _, d := range l.decls {
		count[d.kind]++
	}
	followed := l.followed()
	for _, d := range l.decls {
		if slices.ContainsFunc(d.each.instances, func(i *instance) bool { return followed[i.address] }) {
			continue
		}
		if d.kind == kindSource || d.kind == kindRenderer || d.kind == kindApplier && count[kindApplier] > 1 {
			if !l.used[d.address()] {
				l.warnf(d.block.DefRange(), "Unused "+d.kind, "Nothing refers to %s. Name it in a sync, or remove it.", d.address())
			}
		}
	}
	l.checkUpdates()
	if count[kindSync]+count[kindRelease]+len(followed) == 0 {
		l.warnf(l.somewhere(), "Nothing to do", "There is no sync, no release, and no helm block that follows HelmReleases. Write sync \"NAME\" { source = ... } to apply a source to a cluster.")
	}
}

// followed are the appliers whose custom resources say what is to be done there.
func (l *loader) followed() map[string]bool {
	set := map[string]bool{}
	for _, h := range l.cfg.Helms {
		if h.Resources {
			set[h.Applier] = true
		}
	}
	return set
}

// checkAutomations finds automations of releases whose values stand nowhere
// where they could be changed.
func (l *loader) checkAutomations() {
	where := map[string]string{}
	for _, r := range l.cfg.Releases {
		source, _ := r.ValuesFiles()
		where[r.Address] = source
	}
	for _, auto := range l.cfg.ImageAutomations {
		if source, is := where[auto.Target]; is && source == "" {
			b := l.blockOf(auto.Address)
			l.errorf(b.Body.Attributes["release"].Expr.Range(), "Nothing to write to",
				"The values of %s are in no source. Put those with images into a file there and name it in the release, in a block values_from with source and path; or say with sluice { repository { source = ... } } where this configuration comes from.", auto.Target)
		}
	}
}

// checkUpdates warns of what keeps images from being updated that are meant to be.
func (l *loader) checkUpdates() {
	automated := map[string]bool{}
	for _, auto := range l.cfg.ImageAutomations {
		automated[auto.Target] = true
		if l.cfg.Images.Scan == "none" {
			l.warnf(l.blockOf(auto.Address).DefRange(), "Nothing is heard of", "With scan = \"none\" in the block images, %s hears of no new image.", auto.Address)
		}
	}
	for _, p := range l.cfg.ImagePolicies {
		what := cmp.Or(p.Sync, "The configuration")
		if p.Automated && !automated[p.Sync] && (p.Sync != "" || len(automated) == 0) {
			l.warnf(l.blockOf(p.Address).DefRange(), "Nothing is updated",
				"%s has no image_automation, so that the policy updates nothing. Write one, or automated = false for a policy that only commands use.", what)
		}
	}
}

// somewhere returns the start of the first file.
func (l *loader) somewhere() hcl.Range {
	if len(l.cfg.Files) == 0 {
		return hcl.Range{}
	}
	return hcl.Range{Filename: slices.Min(slices.Collect(maps.Keys(l.cfg.Files)))}
}

// checkDependencies finds syncs and releases that wait for themselves,
// directly or around a cycle.
func (l *loader) checkDependencies() {
	w := walker{l: l, edges: map[string][]string{}, state: map[string]progress{}}
	var all []string
	for _, s := range l.cfg.Syncs {
		w.edges[s.Address] = s.DependsOn
		all = append(all, s.Address)
	}
	for _, r := range l.cfg.Releases {
		w.edges[r.Address] = r.DependsOn
		all = append(all, r.Address)
	}
	for _, address := range all {
		if w.state[address] == pending {
			w.visit(address)
		}
	}
}

// walker looks for cycles in depends_on, depth first.
type walker struct {
	l     *loader
	edges map[string][]string
	state map[string]progress // failed: being visited
	trail []string
}

func (w *walker) visit(address string) {
	w.state[address] = failed
	w.trail = append(w.trail, address)
	for _, next := range w.edges[address] {
		switch w.state[next] {
		case failed:
			w.cycle(next)
		case pending:
			w.visit(next)
		}
	}
	w.trail = w.trail[:len(w.trail)-1]
	w.state[address] = done
}

// cycle reports the end of the trail, from start on, as a cycle.
func (w *walker) cycle(start string) {
	around := w.trail[slices.Index(w.trail, start):]
	at := w.dependsOn(around[len(around)-1])
	if len(around) == 1 {
		w.l.errorf(at, "Dependency on itself", "%s cannot wait for itself.", start)
		return
	}
	w.l.errorf(at, "Dependency cycle", "These %s wait for each other: %s.", kindsOf(around), chain(append(slices.Clone(around), start)))
}

// kindsOf says what addresses are those of: syncs, releases, or both.
func kindsOf(addresses []string) string {
	syncs := slices.ContainsFunc(addresses, func(s string) bool { return strings.HasPrefix(s, kindSync+".") })
	releases := slices.ContainsFunc(addresses, func(s string) bool { return strings.HasPrefix(s, kindRelease+".") })
	switch {
	case !releases:
		return "syncs"
	case !syncs:
		return "releases"
	}
	return "syncs and releases"
}

// dependsOn returns the place of the depends_on of a sync or release.
func (w *walker) dependsOn(address string) hcl.Range {
	b := w.l.blockOf(address)
	switch {
	case b == nil:
		return hcl.Range{}
	case b.Body.Attributes["depends_on"] != nil:
		return b.Body.Attributes["depends_on"].Expr.Range()
	}
	return b.DefRange()
}

// blockOf returns the block that the instance at address is of; nil if there
// is no block.
func (l *loader) blockOf(address string) *hclsyntax.Block {
	if inst := l.instances[address]; inst != nil {
		return inst.decl.block
	}
	return nil
}

// chain prints addresses in the order in which each needs the next.
func chain(addresses []string) string { return strings.Join(addresses, " -> ") }
