package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The kinds of blocks that can be referred to.
const (
	kindSource     = "source"
	kindApplier    = "applier"
	kindCredential = "registry_credential"
	kindRenderer   = "renderer"
	kindHelm       = "helm"
	kindSync       = "sync"
	kindRelease    = "release"
)

// referable are the kinds that expressions may name, as messages list them.
var referable = []string{kindSource, kindApplier, kindCredential, kindRenderer, kindHelm, kindSync, kindRelease}

// The other kinds of blocks with instances, which nothing refers to.
const (
	kindPolicy     = "image_policy"
	kindAutomation = "image_automation"
	kindImageKind  = "image_kind"
)

// blockLabels names the labels of each kind of top-level block.
var blockLabels = map[string][]string{
	"sluice":       nil,
	"locals":       nil,
	"variable":     {"NAME"},
	"plugin":       {"NAME"},
	"images":       nil,
	"registry":     {"HOST"},
	"mirror":       {"URL"},
	kindSource:     {"TYPE", "NAME"},
	kindApplier:    {"TYPE", "NAME"},
	kindCredential: {"TYPE", "NAME"},
	kindRenderer:   {"TYPE", "NAME"},
	kindHelm:       {"TYPE", "NAME"},
	kindSync:       {"NAME"},
	kindRelease:    {"NAME"},
	kindPolicy:     {"NAME"},
	kindAutomation: {"NAME"},
	kindImageKind:  {"NAME"},
}

// maxName bounds a name, because others become part of object names and paths.
const maxName = 63

// decl is one block that can have instances, before its for_each is expanded.
type decl struct {
	kind, typ, name string
	block           *hclsyntax.Block
	each            each
}

func (d *decl) address() string {
	if d.typ == "" {
		return d.kind + "." + d.name
	}
	return d.kind + "." + d.typ + "." + d.name
}

// path returns the parts of the address.
func (d *decl) path() []string {
	if d.typ == "" {
		return []string{d.kind, d.name}
	}
	return []string{d.kind, d.typ, d.name}
}

// declare sorts the blocks of all files into l and reports blocks that are
// unknown, malformed or declared twice.
func (l *loader) declare(inputs []input) {
	for _, in := range inputs {
		for _, name := range slices.Sorted(maps.Keys(in.body.Attributes)) {
			l.errorf(in.body.Attributes[name].NameRange, "Argument outside a block",
				"An argument such as %q stands inside a block. To name a value, put it into locals { }.", name)
		}
		for _, b := range in.body.Blocks {
			if l.checkHeader(b) {
				l.declareBlock(b)
			}
		}
	}
}

// checkHeader checks a block's type, the number of labels and the names.
func (l *loader) checkHeader(b *hclsyntax.Block) bool {
	labels, known := blockLabels[b.Type]
	if !known {
		l.errorf(b.TypeRange, "Unknown block", "There is no block %q.%s",
			b.Type, didYouMean(b.Type, slices.Collect(maps.Keys(blockLabels))))
		return false
	}
	if len(b.Labels) != len(labels) {
		form := b.Type
		for _, label := range labels {
			form += ` "` + label + `"`
		}
		l.errorf(b.DefRange(), "Wrong number of labels", "Write it as: %s { }.", form)
		return false
	}
	ok := true
	for i, label := range b.Labels {
		if free := labels[i] == "HOST" || labels[i] == "URL"; !free && !validName(label) {
			l.errorf(b.LabelRanges[i], "Invalid name",
				"A name starts with a letter and holds letters, digits, _ and -, at most %d of them; this one is %q.", maxName, label)
			ok = false
		}
	}
	return ok
}

func validName(s string) bool {
	return len(s) <= maxName && hclsyntax.ValidIdentifier(s)
}

func (l *loader) declareBlock(b *hclsyntax.Block) {
	switch b.Type {
	case "locals":
		l.declareLocals(b)
		return
	case "sluice", "plugin", "variable", "images", "registry", "mirror":
		id := strings.Join(append([]string{b.Type}, b.Labels...), ".")
		if l.first(id, b.DefRange()) {
			l.hostBlocks = append(l.hostBlocks, b)
		}
		return
	}
	d := &decl{kind: b.Type, name: b.Labels[len(b.Labels)-1], block: b}
	if len(b.Labels) == 2 {
		d.typ = b.Labels[0]
	}
	if l.first(d.address(), b.DefRange()) {
		l.decls = append(l.decls, d)
		l.byAddress[d.address()] = d
	}
}

func (l *loader) declareLocals(b *hclsyntax.Block) {
	for _, inner := range b.Body.Blocks {
		l.errorf(inner.TypeRange, "Unknown block", "A locals block holds only arguments, NAME = VALUE.")
	}
	for _, attr := range inOrder(b.Body.Attributes) {
		if l.first("local."+attr.Name, attr.NameRange) {
			l.locals[attr.Name] = &local{attr: attr}
		}
	}
}

// first reports whether id is new, and complains otherwise.
func (l *loader) first(id string, at hcl.Range) bool {
	prev, dup := l.declared[id]
	if dup {
		l.errorf(at, "Duplicate declaration", "%s is declared already at %s. Rename or remove one of them.", id, toRange(prev))
		return false
	}
	l.declared[id] = at
	return true
}

// inOrder returns attributes in the order of the file.
func inOrder(attrs hclsyntax.Attributes) []*hclsyntax.Attribute {
	return slices.SortedFunc(maps.Values(attrs), func(a, b *hclsyntax.Attribute) int {
		return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte
	})
}

// claim is who has what only one block may have.
type claim struct {
	address string
	at      hcl.Range
}

// claim gives what to the block at address, unless another has it: then it
// returns that one, and not ok.
func (l *loader) claim(what, address string, at hcl.Range) (first claim, ok bool) {
	first, taken := l.claims[what]
	if !taken {
		first = claim{address, at}
		l.claims[what] = first
	}
	return first, first.address == address
}
