package resource

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/release"
)

// Fields of spec.chart that say in which of two ways the chart is named.
var (
	gitFields        = []string{"git", "path", "ref", "secretRef", "skipDepUpdate"}
	repositoryFields = []string{"repository", "name", "version", "chartPullSecret"}
)

// chart reads where the chart is: in a git repository, or in a chart repository.
func (p *parser) chart(f *fields) {
	defer f.end()
	git := f.has("git") || f.has("path")
	repository := f.has("repository") || f.has("name") || f.has("version")
	for _, name := range slices.Concat(gitFields, repositoryFields) {
		f.known[name] = true
	}
	switch {
	case git && repository:
		f.advise(f.path, "Keep either git, ref and path, or repository, name and version.", "the chart is named both by a git and by a chart repository")
	case git:
		p.gitChart(f)
	case repository:
		p.repositoryChart(f)
	default:
		f.advise(f.path, "Name one by git and path, or by repository, name and version.", "there is no chart")
	}
}

func (p *parser) gitChart(f *fields) {
	g := &Git{
		URL:  p.required(f, "git", "the URL of the chart's git repository"),
		Ref:  f.text("ref"),
		Path: p.below(f, "path", p.required(f, "path", "the chart's directory in the repository")),
	}
	if g.Ref == "" {
		g.Ref = p.DefaultRef
	}
	if g.Ref == "" {
		g.Ref = defaultRef
	}
	if g.URL != "" && !fetchable(g.URL) {
		f.advise(f.at("git"), "Want a URL that begins with https://, http:// or ssh://, or git@host:path.", "a chart is not read from such a URL")
	}
	g.Secret = p.secretRef(f.object("secretRef"))
	p.Spec.Chart.KeepDependencies = f.flag("skipDepUpdate", false)
	p.Spec.Chart.IgnoreLock = true // the Helm operator took the newest in the range
	p.ignored(f, "chartPullSecret", "A git repository is read with secretRef.")
	p.Git = g
}

func (p *parser) repositoryChart(f *fields) {
	c := &p.Spec.Chart
	c.Repository = p.required(f, "repository", "the URL of the chart repository")
	c.Name = p.required(f, "name", "the name of the chart")
	c.Version = p.required(f, "version", "the version of the chart, or a range such as 1.x,")
	if err := release.CheckVersion(c.Version); err != nil {
		f.advise(f.at("version"), "Want one such as 1.2.3, 1.x, ^1.2 or >= 1.2, < 3.", "%v", err)
	}
	if c.Repository != "" && !slices.Contains([]string{"http", "https", "oci"}, scheme(c.Repository)) {
		f.advise(f.at("repository"), "Want a URL that begins with https://, http:// or oci://. A repository that was configured by name has to be named by its URL.", "this is no URL of a chart repository")
	}
	c.AuthFrom = p.secretRef(f.object("chartPullSecret"))
	p.ignored(f, "secretRef", "A chart repository is read with chartPullSecret.")
	p.ignored(f, "ref", "It belongs to a chart in git.")
	p.ignored(f, "skipDepUpdate", "It belongs to a chart in git: an archive brings its dependencies.")
}

// chartGitPath reads the way in which the oldest resources name a chart: by its
// path in the one repository that the operator knew.
func (p *parser) chartGitPath(f *fields) {
	at := p.below(f, "chartGitPath", p.required(f, "chartGitPath", "the path of the chart"))
	if p.Charts.Source == "" {
		f.advise(f.at("chartGitPath"), "Set charts in the helm block to a source, and charts_path to the directory of the charts in it.", "it is not configured where charts are")
	}
	p.Spec.Chart.Tree = &release.TreeChart{Source: p.Charts.Source, Path: path.Join(p.Charts.Path, at)}
	p.Spec.Chart.IgnoreLock = true
}

// secretRef reads the name of a Secret that holds credentials, nil if there is
// none.
func (p *parser) secretRef(f *fields) *release.ObjectKey {
	defer f.end()
	name, namespace := f.text("name"), f.text("namespace")
	if f.raw == nil {
		return nil
	}
	if name == "" {
		f.problem(f.at("name"), "the name of a Secret is missing")
	}
	return &release.ObjectKey{Namespace: p.reachable(f, namespace), Name: name}
}

// reachable is the namespace that a reference leads to.
func (p *parser) reachable(f *fields, namespace string) string {
	if namespace == "" || namespace == p.Ref.Namespace {
		return p.Ref.Namespace
	}
	if !p.CrossNamespace {
		f.advise(f.at("namespace"), "Copy it into the namespace of the resource, or set cross_namespace in the helm block.", "a resource may not read other namespaces than its own")
	}
	return namespace
}

// required reads a text that must be there; what says what it is.
func (p *parser) required(f *fields, name, what string) string {
	text := f.text(name)
	if text == "" && !p.wrong(f, name) {
		f.problem(f.at(name), "%s is missing", strings.TrimSuffix(what, ","))
	}
	return text
}

// wrong reports whether a field is there, but not a text.
func (p *parser) wrong(f *fields, name string) bool {
	raw := f.take(name)
	return raw != nil && raw[0] != '"'
}

// below checks that a path stays in its tree, and cleans it.
func (p *parser) below(f *fields, name, at string) string {
	at = strings.TrimLeft(at, "/") // Flux v1 took /charts/ghost for charts/ghost
	if !local(at) {
		f.problem(f.at(name), "the path leads out of the repository")
	}
	return path.Clean(at)
}

func (p *parser) ignored(f *fields, name, why string) {
	if f.has(name) {
		f.warn(f.at(name), why, "this has no effect here")
	}
}

// local reports whether a slash-separated path stays below where it begins.
func local(at string) bool {
	clean := path.Clean(at)
	return clean != ".." && !strings.HasPrefix(clean, "../") && !path.IsAbs(clean) && !strings.ContainsAny(at, "\\\x00")
}

// fetchable reports whether a git repository is on another machine. Whoever may
// write resources does not thereby read the disk of the daemon.
func fetchable(address string) bool {
	if strings.Contains(address, "://") {
		return slices.Contains([]string{"https", "http", "ssh"}, scheme(address))
	}
	// Without a scheme, what has a colon before the first slash is host:path, and
	// everything else a path on this machine.
	host, at, found := strings.Cut(address, ":")
	return found && at != "" && at[0] != ':' && scpHost.MatchString(host)
}

var scpHost = regexp.MustCompile(`^([\w.+~-]+@)?[\w.][\w.-]*$`)

func scheme(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme
}
