package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Defaults of the Helm operator.
const (
	defaultRef        = "master"
	defaultTimeout    = 300 * time.Second
	defaultMaxHistory = 10
	defaultMaxRetries = 5
	defaultValuesKey  = "values.yaml"
)

// patient tries again for ever, ever more rarely: without a rollback there is
// nothing to go back to, and what keeps an upgrade from working may end by
// itself.
var patient = release.Remedy{Retries: -1}

// parser holds what is known of a resource while its spec is read.
type parser struct {
	Options
	Resource
	locate   Locate // may be nil
	problems diag.List
}

// Locate finds where a field of a resource stands in the file that declares it;
// nil if it is not known.
type Locate func(path diag.Path) *diag.Range

// Parse reads a custom resource. The error is a diag.List, see diag.From, whose
// paths lead to the fields: spec.chart.version. With an error, the Resource
// still holds Ref, UID, Generation, Finalized, Declared, the annotations and
// Status, as far as they can be read, so that the error can be written to where
// people look.
func Parse(object json.RawMessage, o Options) (Resource, error) {
	return ParseFile(object, o, nil)
}

// ParseFile is Parse for a resource that a file declares: problems of the
// resource, and later those of its values, have their places there.
func ParseFile(object json.RawMessage, o Options, locate Locate) (Resource, error) {
	p := &parser{Options: o, locate: locate}
	top := objectAt(nil, object, &p.problems)
	p.identify(top)
	if !p.problems.HasErrors() {
		spec := top.object("spec")
		p.Declared = digest(p.Ref, spec.raw, p.annotations(top.object("metadata")))
		p.Status = parseStatus(top.take("status"))
		p.spec(spec)
	}
	var errs diag.List
	for _, d := range p.problems {
		if locate != nil {
			if d.Subject = locate(d.Path); d.Subject != nil && len(d.Path) > 0 {
				d.Summary = d.Path.String() + ": " + d.Summary
			}
		}
		if d.Severity == diag.Warning {
			p.Warnings = append(p.Warnings, d)
		} else {
			errs = append(errs, d)
		}
	}
	return p.Resource, errs.Err()
}

// identify finds out which object this is.
func (p *parser) identify(top *fields) {
	meta := top.object("metadata")
	p.Ref = applier.Ref{Kind: top.text("kind"), Namespace: meta.text("namespace"), Name: meta.text("name")}
	p.Ref.Group, p.Ref.Version, _ = strings.Cut(top.text("apiVersion"), "/")
	p.UID = meta.text("uid")
	p.Generation = meta.number("generation", 0)
	p.Created, _ = time.Parse(time.RFC3339, meta.text("creationTimestamp")) // the API server's own
	var finalizers []string
	meta.decode("finalizers", "a list of names", &finalizers)
	for _, name := range finalizers {
		p.Finalized = p.Finalized || name == Finalizer
	}
	if p.problems.HasErrors() {
		return
	}
	known := false
	for _, k := range Kinds() {
		known = known || k == applier.VersionedKind{Group: p.Ref.Group, Version: p.Ref.Version, Kind: p.Ref.Kind}
	}
	switch {
	case !known:
		top.problem(diag.Attr("apiVersion"), "no known resource that declares a release")
	case p.Ref.Name == "":
		top.problem(diag.Attr("metadata", "name"), "the resource has no name")
	case p.Ref.Namespace == "":
		top.problem(diag.Attr("metadata", "namespace"), "the resource has no namespace")
	}
}

// digest changes with what the resource declares.
func digest(ref applier.Ref, spec, annotations any) string {
	text, err := json.Marshal([]any{ref.Group, ref.Namespace, ref.Name, spec, annotations})
	if err != nil { // all of it was JSON before
		panic("resource: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// spec reads what is declared. Each kind understands what the next older one
// did.
func (p *parser) spec(f *fields) {
	s := &p.Spec
	s.Owner = release.OwnerOf(p.word() + "/" + p.Ref.Namespace + "/" + p.Ref.Name)
	s.Uninstall.Wait = true
	if p.Ref.Group == GroupFluxHelmRelease {
		p.chartGitPath(f)
	} else {
		p.chart(f.object("chart"))
		if p.Ref.Group == GroupOldHelmRelease && f.has("skipDepUpdate") {
			s.Chart.KeepDependencies = f.flag("skipDepUpdate", false)
		}
	}
	p.options(f)
	p.name(f)
	p.values(f)
	f.end()
}

// options reads everything about how the release is made.
func (p *parser) options(f *fields) {
	s := &p.Spec
	s.Timeout, s.MaxHistory, s.Remedy = defaultTimeout, defaultMaxHistory, patient
	if p.Ref.Group == GroupFluxHelmRelease {
		return
	}
	s.Timeout = f.seconds("timeout", defaultTimeout)
	s.ReuseValues = !f.flag("resetValues", true)
	s.MaxHistory = int(f.bounded("maxHistory", defaultMaxHistory))
	s.Force = f.flag("forceUpgrade", false)
	s.SkipOpenAPI = f.flag("disableOpenAPIValidation", false)
	if f.flag("skipCRDs", false) {
		s.CRDs = helm.CRDsSkip
	}
	p.helmVersion(f)
	rollback, test := p.rollback(f.object("rollback")), p.test(f.object("test"))
	s.Wait = waitFor(f.flag("wait", rollback || test))
}

// helmVersion refuses what only Tiller could do.
func (p *parser) helmVersion(f *fields) {
	switch v := f.text("helmVersion"); v {
	case "", "v3":
	case "v2":
		f.advise(f.at("helmVersion"), "Move the release to Helm 3 with `helm 2to3 convert`, then set this to v3 or leave it out: Sluice takes the release over as it is.", "releases of Helm 2 are not supported")
	default:
		f.advise(f.at("helmVersion"), "Leave it out.", "there is no such version of Helm, only v3")
	}
}

// rollback reads what happens after a failed upgrade, and whether anything does.
func (p *parser) rollback(f *fields) (enabled bool) {
	remedy := release.Remedy{
		// The Helm operator rolled back at the first failure.
		Action:          release.RemedyRollback,
		Force:           f.flag("force", false),
		DisableHooks:    f.flag("disableHooks", false),
		Wait:            waitFor(f.flag("wait", false)),
		Timeout:         f.seconds("timeout", defaultTimeout),
		RetryRolledBack: f.flag("retry", false),
		MaxRollbacks:    int(f.bounded("maxRetries", defaultMaxRetries)),
	}
	if f.flag("recreate", false) {
		f.warn(f.at("recreate"), "Helm no longer restarts the pods of a rolled back release. It has no effect.", "pods are not recreated by a rollback")
	}
	if enabled = f.flag("enable", false); enabled {
		p.Spec.Remedy = remedy
	}
	f.end()
	return enabled
}

func (p *parser) test(f *fields) (enabled bool) {
	enabled = f.flag("enable", false)
	test := &release.Test{
		Timeout:        f.seconds("timeout", defaultTimeout),
		IgnoreFailures: f.flag("ignoreFailures", false),
		Cleanup:        f.flag("cleanup", true),
	}
	f.end()
	if enabled {
		p.Spec.Test = test
	}
	return enabled
}

// name finds out what the release is called, and where it is.
func (p *parser) name(f *fields) {
	own := p.Ref.Namespace
	target := own
	if p.Ref.Group != GroupFluxHelmRelease {
		target = f.text("targetNamespace")
	}
	if target == "" {
		target = own
	}
	name := f.text("releaseName")
	if name == "" {
		name = target + "-" + p.Ref.Name
		if target != own {
			name = own + "-" + name
		}
	}
	p.Spec.Ref = helm.ReleaseRef{Namespace: target, Name: name}
	if err := release.CheckName(cut(name, maxName)); err != nil {
		f.advise(f.at("releaseName"), "Set it.", "%v", err)
	}
	if why := badName(target, maxNamespace, false); why != "" {
		f.problem(f.at("targetNamespace"), "the namespace %s", why)
	}
}

// values reads where values come from; the deprecated list of secrets comes
// first.
func (p *parser) values(f *fields) {
	for _, entry := range f.list("valueFileSecrets") {
		if name := entry.text("name"); name != "" {
			p.Spec.From = append(p.Spec.From, release.ValuesFrom{Secret: &release.ObjectKey{Namespace: p.Ref.Namespace, Name: name, Key: defaultValuesKey}, Place: p.place(entry.path)})
		} else {
			entry.problem(entry.at("name"), "the name of a Secret is missing")
		}
		entry.end()
	}
	if p.Ref.Group != GroupFluxHelmRelease {
		for _, entry := range f.list("valuesFrom") {
			p.valuesFrom(entry)
		}
	}
	if raw := f.take("values"); raw != nil {
		f.object("values") // says what else it is
		p.Spec.Values = secret.New(string(raw))
		if p.locate != nil {
			p.Spec.Locate = func(path diag.Path) *diag.Range { return p.locate(append(f.at("values"), path...)) }
		}
	}
}

// place is where a field stands, for people.
func (p *parser) place(path diag.Path) string {
	if p.locate != nil {
		if at := p.locate(path); at != nil {
			return at.String()
		}
	}
	return path.String()
}

func waitFor(ready bool) helm.Wait {
	if ready {
		return helm.WaitReady
	}
	return helm.WaitHooks
}
