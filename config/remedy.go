package config

import (
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

const (
	defaultRetries     = 3
	maxRetries         = 1000
	defaultTestTimeout = 5 * time.Minute
)

var (
	onFailureSchema = schema.Schema{Attributes: []schema.Attribute{{Name: "retries"}, {Name: "remediate"}, {Name: "timeout"}}}
	testSchema      = schema.Schema{Attributes: []schema.Attribute{{Name: "timeout"}, {Name: "ignore_failures"}, {Name: "cleanup"}, {Name: "names"}}}
	driftSchema     = schema.Schema{
		Attributes: []schema.Attribute{{Name: "mode"}},
		Blocks:     []schema.Block{{Name: "ignore", Nesting: schema.List, Body: ignoreSchema}},
	}
	ignoreSchema    = schema.Schema{Attributes: []schema.Attribute{{Name: "kind"}, {Name: "name"}, {Name: "namespace"}, {Name: "paths"}}}
	uninstallSchema = schema.Schema{Attributes: []schema.Attribute{{Name: "keep_history"}, {Name: "wait"}, {Name: "timeout"}, {Name: "disable_hooks"}}}
)

// OnFailure says what follows when an install or upgrade fails.
type OnFailure struct {
	Retries   int           // after the first failure, before the remedy; negative: without end
	Remediate string        // "none", "rollback" or "uninstall"
	Timeout   time.Duration // of the remedy; 0: the release's
}

// ReleaseTest says how a release is tested after an install or upgrade.
type ReleaseTest struct {
	Timeout        time.Duration // of each test
	IgnoreFailures bool
	Cleanup        bool     // delete the pods of tests
	Names          []string // nil: all
}

// ReleaseDrift says what happens when live objects are not as the release says.
type ReleaseDrift struct {
	Mode   string // "correct", "warn" or "off"
	Ignore []DriftIgnore
}

// DriftIgnore leaves out objects, or fields of them. What is empty matches
// everything.
type DriftIgnore struct {
	Kind, Name, Namespace string
	Paths                 []string // JSON pointers; nil: the whole object
}

// ReleaseUninstall says how a release is removed.
type ReleaseUninstall struct {
	KeepHistory  bool
	Wait         bool          // until its objects are gone
	Timeout      time.Duration // 0: the release's
	DisableHooks bool
}

// onFailure returns what the block says; without one, nothing is given up and
// nothing undone.
func (a *arguments) onFailure() OnFailure {
	b := a.block("on_failure", onFailureSchema)
	if b == nil {
		return OnFailure{Retries: -1, Remediate: "none"}
	}
	return OnFailure{
		Retries:   b.whole("retries", defaultRetries, 0, maxRetries),
		Remediate: b.oneOf("remediate", "rollback", "rollback", "uninstall", "none"),
		Timeout:   b.duration("timeout", 0, minInterval),
	}
}

func (a *arguments) test() *ReleaseTest {
	b := a.block("test", testSchema)
	if b == nil {
		return nil
	}
	return &ReleaseTest{
		Timeout:        b.duration("timeout", defaultTestTimeout, minInterval),
		IgnoreFailures: b.bool("ignore_failures", false),
		Cleanup:        b.bool("cleanup", true),
		Names: b.selection("names", func(s string) string {
			if objectName.MatchString(s) {
				return ""
			}
			return "it is no name of a pod or job of the chart's tests"
		}),
	}
}

func (a *arguments) drift() ReleaseDrift {
	drift := ReleaseDrift{Mode: "correct"}
	b := a.block("drift", driftSchema)
	if b == nil {
		return drift
	}
	drift.Mode = b.oneOf("mode", "correct", "correct", "warn", "off")
	for _, ignore := range b.all("ignore", ignoreSchema) {
		drift.Ignore = append(drift.Ignore, ignore.driftIgnore())
	}
	return drift
}

func (a *arguments) driftIgnore() DriftIgnore {
	d := DriftIgnore{Kind: a.string("kind", ""), Name: a.string("name", ""), Paths: a.selection("paths", checkPointer)}
	if !a.absent("namespace") {
		d.Namespace = a.namespace("namespace", "")
	}
	if d.Kind != "" && !kindName.MatchString(d.Kind) {
		a.l.errorf(a.at("kind"), "Wrong kind", "%q is not a kind such as \"Deployment\".", d.Kind)
	}
	if a.absent("kind") && a.absent("name") && a.absent("namespace") && a.absent("paths") {
		a.l.errorf(a.header, "Empty block", "This ignores every object. Say which, or write mode = \"off\".")
	}
	return d
}

// checkPointer says what is wrong with a JSON pointer.
func checkPointer(s string) string {
	rest := strings.ReplaceAll(strings.ReplaceAll(s, "~0", ""), "~1", "")
	switch {
	case !strings.HasPrefix(s, "/") || s == "/":
		return "a path of a field begins with a slash, such as \"/spec/replicas\""
	case strings.Contains(rest, "~"):
		return "after a ~ in a path stands 0 for a ~, or 1 for a slash"
	}
	return ""
}

func (a *arguments) uninstall() ReleaseUninstall {
	b := a.block("uninstall", uninstallSchema)
	if b == nil {
		return ReleaseUninstall{}
	}
	return ReleaseUninstall{
		KeepHistory:  b.bool("keep_history", false),
		Wait:         b.bool("wait", false),
		Timeout:      b.duration("timeout", 0, minInterval),
		DisableHooks: b.bool("disable_hooks", false),
	}
}
