package config

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

const (
	defaultSyncInterval = 5 * time.Minute
	defaultSyncTimeout  = 10 * time.Minute
	defaultWaitTimeout  = 5 * time.Minute
)

var (
	syncSchema = schema.Schema{
		Attributes: []schema.Attribute{
			{Name: "for_each"}, {Name: "source", Required: true}, {Name: "applier"}, {Name: "renderer"}, {Name: "paths"}, {Name: "depends_on"},
			{Name: "interval"}, {Name: "timeout"}, {Name: "suspend"}, {Name: "adopt"}, {Name: "recreate"},
		},
		Blocks: []schema.Block{
			{Name: "prune", Nesting: schema.Single, Body: pruneSchema},
			{Name: "wait", Nesting: schema.Single, Body: waitSchema},
			{Name: "marker", Nesting: schema.Map, Labels: []string{"KIND"}, Body: markerSchema},
		},
	}
	pruneSchema = schema.Schema{Attributes: []schema.Attribute{{Name: "enabled"}, {Name: "max"}, {Name: "kinds"}}}
	waitSchema  = schema.Schema{Attributes: []schema.Attribute{{Name: "timeout"}}}
)

func (l *loader) addSync(b Block, a *arguments) {
	s := Sync{
		Block:     b,
		Source:    a.reference("source", kindSource),
		Applier:   a.applier(),
		Renderer:  a.reference("renderer", kindRenderer),
		Paths:     a.paths("paths"),
		DependsOn: a.references("depends_on", kindSync, kindRelease),
		Interval:  a.duration("interval", defaultSyncInterval, minInterval),
		Timeout:   a.duration("timeout", defaultSyncTimeout, minInterval),
		Suspend:   a.bool("suspend", false),
		Adopt:     a.bool("adopt", false),
		Recreate:  a.bool("recreate", false),
		Prune:     a.prune(),
		Wait:      a.wait(),
		Marker:    a.marker(),
	}
	l.cfg.Syncs = append(l.cfg.Syncs, s)
	l.claimTag(s, a.header)
}

// applier returns the address of the applier: the only one, if the block does
// not name any.
func (a *arguments) applier() string {
	if !a.absent("applier") {
		return a.reference("applier", kindApplier)
	}
	switch all := a.l.cfg.Appliers; len(all) {
	case 0:
		return "" // the only one failed, which is reported
	case 1:
		return all[0].Address
	default:
		var known []string
		for _, applier := range all {
			known = append(known, applier.Address)
		}
		a.l.errorf(a.header, "Missing argument", "There are several appliers, so the argument \"applier\" is required. Known: %s.", strings.Join(known, ", "))
		return ""
	}
}

// paths returns directories in a source's tree.
func (a *arguments) paths(name string) []string {
	elements := a.strings(name)
	if elements == nil {
		return []string{"."}
	}
	if len(elements) == 0 {
		a.l.errorf(a.at(name), "No paths", "An empty list selects nothing. Leave %q out to take the whole tree.", name)
	}
	var clean []string
	for _, e := range elements {
		if c, ok := a.l.within(e, "source"); ok && !slices.Contains(clean, c) {
			clean = append(clean, c)
		}
	}
	return clean
}

// within returns a path that stays in what it is relative to, in its shortest form.
func (l *loader) within(e element, what string) (clean string, ok bool) {
	clean = path.Clean(e.text)
	switch {
	case e.text == "":
		l.errorf(e.at, "Wrong path", "A path cannot be empty. The whole tree is \".\".")
	case path.IsAbs(clean) || strings.Contains(e.text, `\`):
		relative := strings.TrimLeft(strings.ReplaceAll(e.text, `\`, "/"), "/")
		l.errorf(e.at, "Wrong path", "Paths are relative to the root of the %s, with forward slashes: write %q.", what, relative)
	case clean == ".." || strings.HasPrefix(clean, "../"):
		l.errorf(e.at, "Wrong path", "The path leads out of the %s.", what)
	default:
		return clean, true
	}
	return "", false
}

// kindName is a Kubernetes kind, with its group if it needs one.
var kindName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(\.[a-z0-9.-]+)?$`)

// protectedKinds are those of Kubernetes, to find slips. Appliers for other
// targets may have others.
var protectedKinds = []string{"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"}

func (a *arguments) prune() Prune {
	p := Prune{Enabled: true, Max: DefaultBudget}
	b := a.block("prune", pruneSchema)
	if b == nil {
		return p
	}
	p.Enabled = b.bool("enabled", true)
	p.Max = b.budget("max")
	for _, e := range b.strings("kinds") {
		if !kindName.MatchString(e.text) {
			b.l.errorf(e.at, "Wrong kind", "%q is not a kind such as \"Namespace\" or \"PersistentVolumeClaim\".", e.text)
			continue
		}
		kind, _, _ := strings.Cut(e.text, ".")
		if near := diag.Nearest(kind, protectedKinds); near != "" && !slices.Contains(protectedKinds, kind) {
			b.l.warnf(e.at, "Kind is not protected", "%q is no protected kind, so that naming it changes nothing. Did you mean %q?", e.text, near)
		}
		p.Kinds = append(p.Kinds, e.text)
	}
	return p
}

// budget reads a number of objects or a percentage.
func (a *arguments) budget(name string) Budget {
	v, at, ok := a.value(name, cty.String)
	if !ok {
		return DefaultBudget
	}
	text := plain(v)
	if digits, percent := strings.CutSuffix(text, "%"); percent {
		p, err := strconv.ParseFloat(digits, 64)
		if err == nil && p >= 0 && p <= 100 {
			return Budget{Percent: p}
		}
	} else if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return Budget{Count: n}
	}
	a.l.errorf(at, "Wrong budget", "%s is neither a number of objects, such as 50, nor a percentage from \"0%%\" to \"100%%\".", a.l.show(v))
	return DefaultBudget
}

func (a *arguments) wait() *Wait {
	b := a.block("wait", waitSchema)
	if b == nil {
		return nil
	}
	return &Wait{Timeout: b.duration("timeout", defaultWaitTimeout, minInterval)}
}
