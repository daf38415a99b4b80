package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

const (
	defaultReleaseInterval = 5 * time.Minute
	defaultReleaseTimeout  = 5 * time.Minute
	defaultMaxHistory      = 10
	maxHistory             = 10_000

	maxReleaseName = 53 // Helm's own bound: names of objects are made from it
)

var releaseSchema = schema.Schema{
	Attributes: []schema.Attribute{
		{Name: "for_each"}, {Name: "applier"}, {Name: "name"}, {Name: "namespace"}, {Name: "create_namespace"}, {Name: "values"}, {Name: "depends_on"},
		{Name: "interval"}, {Name: "timeout"}, {Name: "suspend"}, {Name: "suspend_reason"},
		{Name: "wait"}, {Name: "wait_mode"}, {Name: "wait_for_jobs"}, {Name: "max_history"}, {Name: "crds"}, {Name: "force"}, {Name: "disable_hooks"},
		{Name: "take_ownership"}, {Name: "reuse_values"}, {Name: "skip_schema"}, {Name: "skip_openapi"}, {Name: "adopt"}, {Name: "on_remove"}, {Name: "on_move"},
	},
	Blocks: []schema.Block{
		{Name: "chart", Nesting: schema.Single, Body: chartSchema},
		{Name: "values_from", Nesting: schema.List, Body: valuesFromSchema},
		{Name: "on_failure", Nesting: schema.Single, Body: onFailureSchema},
		{Name: "test", Nesting: schema.Single, Body: testSchema},
		{Name: "drift", Nesting: schema.Single, Body: driftSchema},
		{Name: "uninstall", Nesting: schema.Single, Body: uninstallSchema},
	},
}

// Release is one release block, or one instance of it: a Helm release.
type Release struct {
	Block
	Origin          Origin // of the block
	Applier         string // address
	Helm            string // address of the applier's; "" if there is none, which is reported
	ReleaseName     string // as Helm knows it
	Namespace       string
	CreateNamespace bool
	Chart           ReleaseChart
	Values          ReleaseValues // stronger than those of From
	From            []ValuesFrom  // later wins
	DependsOn       []string      // addresses of syncs and releases, each once
	Interval        time.Duration
	Timeout         time.Duration // of one run's install, upgrade or wait
	Suspend         bool
	SuspendReason   string // for people

	Wait          string // "": for hooks only; "ready": until objects are, by watching them; "poll": by asking
	WaitForJobs   bool
	MaxHistory    int    // revisions to keep; 0: all
	CRDs          string // "create", "replace" or "skip"
	Force         bool   // replace objects rather than change them
	DisableHooks  bool
	TakeOwnership bool // of objects that are not the release's
	ReuseValues   bool
	SkipSchema    bool
	SkipOpenAPI   bool

	Adopt     bool   // take over a release that nobody declares
	OnRemove  string // when the block goes: "uninstall" or "keep"
	OnMove    string // when name or namespace change: "refuse" or "reinstall"
	OnFailure OnFailure
	Test      *ReleaseTest // nil: none
	Drift     ReleaseDrift
	Uninstall ReleaseUninstall
}

// Secrets returns the sensitive strings of r, for scrubbing.
func (r Release) Secrets() []string {
	return slices.Concat(r.Values.Secrets, r.Chart.Secrets())
}

func (l *loader) addRelease(b Block, a *arguments) {
	r := Release{
		Block:           b,
		Origin:          l.cfg.origin(b.Range.File),
		Applier:         a.applier(),
		ReleaseName:     a.releaseName("name", b),
		Namespace:       a.namespace("namespace", "default"),
		CreateNamespace: a.bool("create_namespace", false),
		Chart:           a.chart(),
		Values:          a.releaseValues("values"),
		DependsOn:       a.references("depends_on", kindSync, kindRelease),
		Interval:        a.duration("interval", defaultReleaseInterval, minInterval),
		Timeout:         a.duration("timeout", defaultReleaseTimeout, minInterval),
		Suspend:         a.bool("suspend", false),
		SuspendReason:   a.string("suspend_reason", ""),
		Wait:            a.waitMode(),
		WaitForJobs:     a.bool("wait_for_jobs", false),
		MaxHistory:      a.whole("max_history", defaultMaxHistory, 0, maxHistory),
		CRDs:            a.oneOf("crds", "create", "create", "replace", "skip"),
		Force:           a.bool("force", false),
		DisableHooks:    a.bool("disable_hooks", false),
		TakeOwnership:   a.bool("take_ownership", false),
		ReuseValues:     a.bool("reuse_values", false),
		SkipSchema:      a.bool("skip_schema", false),
		SkipOpenAPI:     a.bool("skip_openapi", false),
		Adopt:           a.bool("adopt", false),
		OnRemove:        a.oneOf("on_remove", "uninstall", "uninstall", "keep"),
		OnMove:          a.oneOf("on_move", "refuse", "refuse", "reinstall"),
		OnFailure:       a.onFailure(),
		Test:            a.test(),
		Drift:           a.drift(),
		Uninstall:       a.uninstall(),
	}
	r.Helm = a.helmOf(r.Applier)
	r.From = a.valuesFrom(r.Namespace)
	l.cfg.Releases = append(l.cfg.Releases, r)
	l.claimRelease(r, a)
}

// claimRelease reports a release that two blocks declare.
func (l *loader) claimRelease(r Release, a *arguments) {
	if r.Applier == "" || r.ReleaseName == "" {
		return
	}
	ref := r.Namespace + "/" + r.ReleaseName
	if first, ok := l.claim("release "+ref+" of "+r.Applier, r.Address, a.header); !ok {
		l.errorf(a.header, "Duplicate release", "The release %s in %s is that of %s, at %s. Give one of them another name or namespace.",
			ref, r.Applier, first.address, toRange(first.at))
	}
}

var (
	releaseName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	notInName   = regexp.MustCompile(`[^a-z0-9.-]+`)
	dnsLabel    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

// releaseName returns the name of the Helm release: without the argument that
// of the block, with the key of its for_each.
func (a *arguments) releaseName(name string, b Block) string {
	def := b.Name
	if each := a.sc.each; each != nil && each.repeated {
		def = each.decl.name + "-" + each.key
	}
	s := a.string(name, def)
	if len(s) <= maxReleaseName && releaseName.MatchString(s) {
		return s
	}
	hint := ""
	if fit := strings.Trim(notInName.ReplaceAllString(strings.ToLower(s), "-"), "-."); len(fit) <= maxReleaseName && releaseName.MatchString(fit) {
		hint = " Write name = " + quote(fit) + "."
	}
	a.l.errorf(a.at(name), "Wrong release name", "%q cannot be the name of a Helm release, which holds lower-case letters, digits, - and ., at most %d of them, with a letter or digit at both ends.%s",
		s, maxReleaseName, hint)
	return ""
}

func (a *arguments) namespace(name, def string) string {
	s := a.string(name, def)
	if !dnsLabel.MatchString(s) {
		a.l.errorf(a.at(name), "Wrong namespace", "%q can be no namespace: it holds lower-case letters, digits and -, at most 63 of them, with a letter or digit at both ends.", s)
		return def
	}
	return s
}

// The ways to wait for objects, as in Release.Wait.
const (
	waitHooks = ""
	waitReady = "ready"
	waitPoll  = "poll"
)

func (a *arguments) waitMode() string {
	mode := a.oneOf("wait_mode", "watch", "watch", "poll")
	switch {
	case !a.bool("wait", true):
		for _, name := range []string{"wait_mode", "wait_for_jobs"} {
			if !a.absent(name) {
				a.l.errorf(a.at(name), "Argument without effect", "%q says how to wait, but with wait = false nothing is waited for. Remove one of them.", name)
			}
		}
		return waitHooks
	case mode == "poll":
		return waitPoll
	}
	return waitReady
}

// whole returns a whole number.
func (a *arguments) whole(name string, def, least, most int) int {
	v, at, ok := a.value(name, cty.Number)
	if !ok {
		return def
	}
	v, _ = v.Unmark()
	n, exact := v.AsBigFloat().Int64()
	if exact != 0 || n < int64(least) || n > int64(most) {
		a.l.errorf(at, "Number out of range", "%q is a whole number from %d to %d.", name, least, most)
		return def
	}
	return int(n)
}

// all returns the arguments of each block by a name.
func (a *arguments) all(name string, s schema.Schema) []*arguments {
	var list []*arguments
	for _, b := range a.blocks {
		if b.Type == name {
			list = append(list, a.l.content(b.Body, b.DefRange, s, a.sc))
		}
	}
	return list
}

// choice returns the only one of names that is set; "", with a diagnostic that
// says what it is for, if none or several are.
func (a *arguments) choice(what string, names ...string) string {
	var set []string
	for _, name := range names {
		if !a.absent(name) {
			set = append(set, name)
		}
	}
	known := strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	switch {
	case len(set) == 1:
		return set[0]
	case len(set) == 0:
		a.l.errorf(a.header, "Missing argument", "One of the arguments %s is required: it says %s.", known, what)
	default:
		a.l.errorf(a.at(set[1]), "Too much", "%q and %q exclude each other: one of %s says %s.", set[0], set[1], known, what)
	}
	return ""
}

// stray reports arguments that mean nothing without another one.
func (a *arguments) stray(with string, names ...string) {
	for _, name := range names {
		if attr := a.attrs[name]; attr != nil && !a.absent(name) {
			a.l.errorf(attr.NameRange, "Argument without effect", "%q means something only together with %s.", name, with)
		}
	}
}
