package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Repository says of which directory of a source the configuration is a copy:
// the directory of the file that says so is that one.
type Repository struct {
	Source string // address
	Path   string // slash-separated, relative to the tree's root, clean
	Range  diag.Range
}

func (a *arguments) configRepository() *Repository {
	b := a.block("repository", repositorySchema)
	if b == nil {
		return nil
	}
	r := &Repository{Source: b.reference("source", kindSource), Path: ".", Range: toRange(b.header)}
	if !b.absent("path") {
		r.Path, _ = b.l.within(element{text: b.string("path", "."), at: b.at("path")}, "source")
	}
	return r
}

// Origin is where the file of a block is in a source's tree. Source is "" where
// nobody says so.
type Origin struct{ Source, Path string }

// origin returns where a file of the configuration, named as in Files, is in
// the repository.
func (c *Config) origin(file string) Origin {
	r := c.Repository
	if r == nil || r.Source == "" || r.Path == "" || filepath.Dir(file) != filepath.Dir(r.Range.File) {
		return Origin{}
	}
	return Origin{r.Source, path.Join(r.Path, filepath.Base(file))}
}

// ErrOtherText says that a text is not the one that the configuration was read
// from.
var ErrOtherText = errors.New("the configuration that runs was read from another text")

// Setting is another string for a place in the values of a release.
type Setting struct {
	Path     diag.Path // without the leading "values"
	Old, New string
}

// Rewrite returns src, which must be the text of the file that r stands in, with
// other strings in the values of r. What differs are the bytes of these string
// literals and nothing else. What is no literal of its own cannot be changed.
func (c *Config) Rewrite(r Release, src []byte, settings []Setting) ([]byte, error) {
	if err := c.CheckRewrite(r, src, settings); err != nil {
		return nil, err
	}
	var splices []splice
	for _, s := range settings {
		at, err := r.literal(src, s)
		if err != nil {
			return nil, err
		}
		splices = append(splices, splice{at, hclwrite.TokensForValue(cty.StringVal(s.New)).Bytes()})
	}
	slices.SortFunc(splices, func(a, b splice) int { return cmp.Compare(b.at.Start.Byte, a.at.Start.Byte) })
	out := bytes.Clone(src)
	for i, s := range splices {
		if i > 0 && s.at.End.Byte > splices[i-1].at.Start.Byte {
			return nil, fmt.Errorf("%s: it is to be changed twice", toRange(s.at))
		}
		out = slices.Replace(out, s.at.Start.Byte, s.at.End.Byte, s.text...)
	}
	return out, sameButFor(src, out, len(splices))
}

// CheckRewrite says why Rewrite would fail.
func (c *Config) CheckRewrite(r Release, src []byte, settings []Setting) error {
	if sum, known := c.sums[r.Range.File]; !known || sum != sha256.Sum256(src) {
		return ErrOtherText
	}
	if strings.Contains(r.Name, "[") {
		return fmt.Errorf("%s is one of several by for_each, which have their values from one block", r.Address)
	}
	for _, s := range settings {
		if _, err := r.literal(src, s); err != nil {
			return err
		}
	}
	return nil
}

// splice is another text for a range.
type splice struct {
	at   hcl.Range
	text []byte
}

// literal returns the range of the string that a setting is about.
func (r Release) literal(src []byte, s Setting) (hcl.Range, error) {
	p := r.Values.root.at(s.Path)
	if p == nil {
		return hcl.Range{}, fmt.Errorf("%s: %s is computed here", r.Values.Locate(s.Path), s.Path)
	}
	at := p.rng
	if at.Filename != r.Range.File || at.Start.Byte < 0 || at.End.Byte > len(src) || at.Start.Byte >= at.End.Byte {
		return hcl.Range{}, fmt.Errorf("%s: %s does not stand in the file of its block", toRange(at), s.Path)
	}
	expr, _ := hclsyntax.ParseExpression(src[at.Start.Byte:at.End.Byte], at.Filename, at.Start) // it is part of what has parsed
	literal, ok := unwrap(expr).(*hclsyntax.TemplateExpr)
	if ok {
		at = literal.Range()
	}
	if !ok || !literal.IsStringLiteral() || src[at.Start.Byte] != '"' {
		return hcl.Range{}, fmt.Errorf("%s: %s is computed here", toRange(at), s.Path)
	}
	if v, diags := literal.Value(nil); diags.HasErrors() || v.AsString() != s.Old {
		return hcl.Range{}, fmt.Errorf("%s: %s is another here", toRange(at), s.Path)
	}
	return at, nil
}

// sameButFor checks that two texts parse, and differ in no more than n string
// literals.
func sameButFor(before, after []byte, n int) error {
	if _, diags := hclsyntax.ParseConfig(after, "", hcl.InitialPos); diags.HasErrors() {
		return fmt.Errorf("the result does not parse: %w", diags)
	}
	old, diags := hclsyntax.LexConfig(before, "", hcl.InitialPos)
	now, more := hclsyntax.LexConfig(after, "", hcl.InitialPos)
	if diags.HasErrors() || more.HasErrors() || len(old) != len(now) {
		return errors.New("the result would be something else")
	}
	for i := range old {
		switch {
		case old[i].Type != now[i].Type:
			return errors.New("the result would be something else")
		case bytes.Equal(old[i].Bytes, now[i].Bytes):
		case old[i].Type != hclsyntax.TokenQuotedLit || n == 0:
			return errors.New("more than the image would change")
		default:
			n--
		}
	}
	return nil
}
