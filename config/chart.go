package config

import (
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

var chartSchema = schema.Schema{Attributes: []schema.Attribute{
	{Name: "source"}, {Name: "path"}, {Name: "keep_dependencies"}, {Name: "ignore_lock"},
	{Name: "repository"}, {Name: "name"}, {Name: "version"}, {Name: "username"}, {Name: "password"}, {Name: "ca"}, {Name: "cert"}, {Name: "key"}, {Name: "keyring"},
}}

// ReleaseChart says where the chart is: at Path in the tree of Source, or in
// Repository.
type ReleaseChart struct {
	Source string // address; "" for a chart of a repository
	Path   string // slash-separated, relative to the tree's root, clean

	Repository string // https://, http:// or oci:// URL
	Name       string // "": the last part of an oci:// URL
	Version    string // exact or a range; "": the newest
	Access
	Keyring string // armored OpenPGP keys; "": signatures are not asked for

	KeepDependencies bool
	IgnoreLock       bool
	Range            diag.Range // of the block
}

func (a *arguments) chart() ReleaseChart {
	b := a.block("chart", chartSchema)
	if b == nil {
		a.l.errorf(a.header, "Missing block", "A release needs a block \"chart\" that says where its chart is: with source and path, or with repository, name and version.")
		return ReleaseChart{}
	}
	c := ReleaseChart{Range: toRange(b.header)}
	switch b.choice("where the chart is", "source", "repository") {
	case "source":
		b.chartOfTree(&c)
	case "repository":
		b.chartOfRepository(&c)
	}
	return c
}

func (a *arguments) chartOfTree(c *ReleaseChart) {
	a.stray("repository", "name", "version", "username", "password", "ca", "cert", "key", "keyring")
	c.Source = a.reference("source", kindSource)
	c.Path = "."
	if !a.absent("path") {
		c.Path, _ = a.l.within(element{text: a.string("path", "."), at: a.at("path")}, "source")
	}
	c.KeepDependencies = a.bool("keep_dependencies", false)
	c.IgnoreLock = a.bool("ignore_lock", false)
}

func (a *arguments) chartOfRepository(c *ReleaseChart) {
	a.stray("source", "path", "keep_dependencies", "ignore_lock")
	c.Repository = a.repository("repository")
	c.Name = a.chartName("name", c.Repository)
	c.Version = a.version("version")
	c.Access = a.access("repository", c.Repository)
	c.Keyring = a.keyring("keyring")
}

// repository returns the URL of a chart repository, or of one in a registry.
func (a *arguments) repository(name string) string {
	s := a.url(name, "Write username and password.", "https", "http", "oci")
	path, oci := strings.CutPrefix(s, "oci://")
	last := path[strings.LastIndexByte(path, '/')+1:]
	if chart, version, tagged := cutAny(last, "@:"); oci && tagged && last != path {
		a.l.errorf(a.at(name), "Wrong URL", "The version of a chart is an argument of its own: remove %q after %s, and write version = %q.", last[len(chart):], chart, version)
		return ""
	}
	return s
}

// cutAny cuts s at the first of chars.
func cutAny(s, chars string) (before, after string, found bool) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

var chartName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`)

func (a *arguments) chartName(name, repository string) string {
	s := a.string(name, "")
	oci := strings.HasPrefix(repository, "oci://")
	switch {
	case s == "" && repository != "" && !oci:
		a.l.errorf(a.at(name), "Missing argument", "A repository holds many charts: the argument %q says which.", name)
	case s != "" && !chartName.MatchString(s):
		a.l.errorf(a.at(name), "Wrong chart", "%q is no name of a chart.", s)
	case strings.Contains(s, "/") && !oci && repository != "":
		a.l.errorf(a.at(name), "Wrong chart", "The name of a chart has no repository before it: write %q.", s[strings.LastIndexByte(s, '/')+1:])
	}
	return s
}

// version returns a version or a range of them.
func (a *arguments) version(name string) string {
	attr := a.attrs[name]
	if attr == nil {
		return ""
	}
	if v, ok := a.l.eval(attr.Expr, a.sc); ok && v.Type().Equals(cty.Number) {
		a.l.errorf(attr.Expr.Range(), "Version without quotes", "Without quotes a version is a number, and 1.10 is 1.1. Write it as text: \"1.10.0\".")
		return ""
	}
	s := strings.TrimSpace(a.string(name, ""))
	if s == "" {
		return ""
	}
	if _, err := semver.NewConstraint(s); err != nil {
		a.l.errorf(a.at(name), "Wrong version", "%q is neither a version nor a range of versions. Write such as \"1.2.3\", \"1.x\" or \"^1.2\".", s)
		return ""
	}
	return s
}

const armoredKeys = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

func (a *arguments) keyring(name string) string {
	s := a.string(name, "")
	if s != "" && !strings.Contains(s, armoredKeys) {
		a.l.errorf(a.at(name), "No keys", "%q takes the text of armored public keys, as gpg --export --armor prints it: write file(\"keys.asc\").", name)
	}
	return s
}
