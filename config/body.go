package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// bodyDecoder decodes the plugin-owned part of one block in a single pass over
// the original body. hcldec could make the values, but not the rest: the place
// of each element, formats, deprecations, and which values are sensitive.
type bodyDecoder struct {
	l       *loader
	sc      scope
	secrets map[string]struct{}
	ok      bool // nothing wrong so far
}

// decoded is a value in its JSON form, twice: as the plugin gets it, and as
// people may see it. at is its place.
type decoded struct {
	real, shown any
	at          *place
}

// decodePlugin fills p from body, for its plugin to check. It leaves p.JSON nil
// if anything is wrong.
func (l *loader) decodePlugin(p *PluginConfig, body hcl.Body, header hcl.Range, s *schema.Schema, sc scope) {
	if l.fillPlugin(p, body, header, s, sc) {
		l.plugged = append(l.plugged, *p)
	}
}

// fillPlugin is decodePlugin without the check, and reports whether all is well.
func (l *loader) fillPlugin(p *PluginConfig, body hcl.Body, header hcl.Range, s *schema.Schema, sc scope) bool {
	d := &bodyDecoder{l: l, sc: sc, secrets: map[string]struct{}{}, ok: true}
	v := d.body(body, header, s, p.Kind+" "+quote(p.Type))
	p.root = v.at
	if !d.ok {
		return false
	}
	p.JSON = d.marshal(v.real, header)
	p.display = d.marshal(v.shown, header)
	p.Secrets = d.allSecrets()
	return true
}

// allSecrets returns the sensitive strings of the block and the secrets that
// went into them: of a URL with a password the URL, and the password, which
// may show up alone.
func (d *bodyDecoder) allSecrets() []string {
	all := slices.Collect(maps.Keys(d.secrets))
	for known := range d.l.secrets {
		inside := func(s string) bool { return s != known && strings.Contains(s, known) }
		if len(known) >= minScrub && slices.ContainsFunc(all, inside) {
			all = append(all, known)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (d *bodyDecoder) marshal(v any, header hcl.Range) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil { // a default in the plugin's schema that is not JSON
		d.errorf(header, "Invalid schema", "The plugin's schema is broken: %s.", err)
		return nil
	}
	return data
}

func (d *bodyDecoder) errorf(at hcl.Range, summary, detail string, args ...any) {
	d.ok = false
	d.l.errorf(at, summary, detail, args...)
}

// body decodes one body; header is the place of what is missing in it.
func (d *bodyDecoder) body(body hcl.Body, header hcl.Range, s *schema.Schema, what string) decoded {
	content, _, diags := body.PartialContent(bodySchema(s))
	d.ok = d.l.hcl(diags) && d.ok
	real, shown, at := map[string]any{}, map[string]any{}, &place{rng: header}
	for i := range s.Attributes {
		a := &s.Attributes[i]
		v, set := d.attribute(content.Attributes[a.Name], a, header, what)
		if v.at != nil {
			at.add(a.Name, v.at)
		}
		if set {
			real[a.Name], shown[a.Name] = v.real, v.shown
		}
	}
	for i := range s.Blocks {
		b := &s.Blocks[i]
		v, set := d.blocks(content.Blocks, b, header, what)
		if v.at != nil {
			at.add(b.Name, v.at)
		}
		if set {
			real[b.Name], shown[b.Name] = v.real, v.shown
		}
	}
	return decoded{real, shown, at}
}

// attribute decodes one argument. set is false if it has neither a value nor a
// default.
func (d *bodyDecoder) attribute(attr *hcl.Attribute, a *schema.Attribute, header hcl.Range, what string) (v decoded, set bool) {
	if attr == nil {
		return d.absent(a, header, what)
	}
	if a.Deprecated != "" {
		d.l.warnf(attr.NameRange, "Deprecated argument", "%q is deprecated. %s", a.Name, a.Deprecated)
	}
	if a.Sensitive {
		d.l.maskLiterals(attr.Expr)
	}
	v.at = exprPlace(attr.Expr)
	val, ok := d.l.eval(attr.Expr, d.sc)
	switch {
	case !ok:
		d.ok = false
		return v, false
	case val.IsNull():
		absent, set := d.absent(a, v.at.rng, what)
		absent.at = v.at
		return absent, set
	}
	e := encoder{d: d, attr: a}
	v.real, v.shown = e.encode(val, a.Type, spot{v.at, a.Name}, a.Sensitive)
	return v, true
}

// absent is the value of an argument that is not set.
func (d *bodyDecoder) absent(a *schema.Attribute, at hcl.Range, what string) (decoded, bool) {
	switch {
	case a.Required:
		d.errorf(at, "Missing argument", "%s needs the argument %q%s.", upperFirst(what), a.Name, explained(a.Doc))
	case len(a.Default) > 0 && a.Sensitive:
		return decoded{real: a.Default, shown: secret.Redacted}, true
	case len(a.Default) > 0:
		return decoded{real: a.Default, shown: a.Default}, true
	}
	return decoded{}, false
}

// blocks decodes all blocks of one type.
func (d *bodyDecoder) blocks(all hcl.Blocks, b *schema.Block, header hcl.Range, what string) (v decoded, set bool) {
	var found hcl.Blocks
	for _, block := range all {
		if block.Type == b.Name {
			found = append(found, block)
		}
	}
	d.count(found, b, header, what)
	switch b.Nesting {
	case schema.List:
		return d.list(found, b), true
	case schema.Map:
		return d.byLabel(found, b), true
	}
	if len(found) == 0 {
		return decoded{}, false
	}
	return d.block(found[0], b), true
}

// count checks how many blocks there are.
func (d *bodyDecoder) count(found hcl.Blocks, b *schema.Block, header hcl.Range, what string) {
	limit := b.Max
	if b.Nesting == schema.Single {
		limit = 1
	}
	switch {
	case len(found) == 0 && b.Min == 1:
		d.errorf(header, "Missing block", "%s needs a block %q%s.", upperFirst(what), b.Name, explained(b.Doc))
	case len(found) < b.Min:
		d.errorf(header, "Missing block", "%s needs at least %s %q; there are %d.", upperFirst(what), plural(b.Min, "block"), b.Name, len(found))
	}
	if limit > 0 && len(found) > limit {
		d.errorf(found[limit].DefRange, "Too many blocks", "%s takes at most %s %q; the first is at %s.",
			upperFirst(what), plural(limit, "block"), b.Name, toRange(found[0].DefRange))
	}
}

func (d *bodyDecoder) block(block *hcl.Block, b *schema.Block) decoded {
	return d.body(block.Body, block.DefRange, &b.Body, "block "+quote(b.Name))
}

func (d *bodyDecoder) list(found hcl.Blocks, b *schema.Block) decoded {
	v := decoded{}
	real, shown := []any{}, []any{}
	for _, block := range found {
		item := d.block(block, b)
		real, shown = append(real, item.real), append(shown, item.shown)
		if v.at == nil {
			v.at = &place{rng: block.DefRange}
		}
		v.at.items = append(v.at.items, item.at)
	}
	v.real, v.shown = real, shown
	return v
}

func (d *bodyDecoder) byLabel(found hcl.Blocks, b *schema.Block) decoded {
	v := decoded{}
	real, shown := map[string]any{}, map[string]any{}
	for _, block := range found {
		label := block.Labels[0]
		item := d.block(block, b)
		if v.at == nil {
			v.at = &place{rng: block.DefRange}
		}
		if first := v.at.names[label]; first != nil {
			d.errorf(block.DefRange, "Duplicate block", "There is already a %s %q at %s.", b.Name, label, toRange(first.rng))
			continue
		}
		v.at.add(label, item.at)
		real[label], shown[label] = item.real, item.shown
	}
	v.real, v.shown = real, shown
	return v
}

// explained turns a doc string into the end of a sentence.
func explained(doc string) string {
	first, _, _ := strings.Cut(doc, ". ")
	first = strings.TrimSuffix(first, ".")
	if first == "" {
		return ""
	}
	return " (" + first + ")"
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
