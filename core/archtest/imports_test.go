package archtest

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-gitops/sluice"

// rule says that the packages below from may import (only) or may not import
// (never) the packages that match. Patterns are import paths or prefixes that
// end with "/...".
type rule struct {
	from   string
	only   []string // of the repository's own packages; nil: no limit
	never  []string
	except []string // packages below from that the rule leaves out
	why    string
}

// What the outside world is reached with, and what plugins are served with.
var (
	outside = []string{
		"k8s.io/...", "sigs.k8s.io/...", "helm.sh/...", "github.com/go-git/...",
		"github.com/aws/...", "cloud.google.com/...", "github.com/Azure/...",
	}
	wire = []string{"github.com/hashicorp/go-plugin/...", "google.golang.org/grpc/..."}
	hcl  = []string{"github.com/hashicorp/hcl/..."}
	oci  = []string{"github.com/google/go-containerregistry/..."}
)

var rules = []rule{
	{from: "core/graph/...", only: []string{}, never: []string{"*.*/..."}, why: "the graph knows no domain: standard library only"},
	{from: "core/sched/...", only: []string{}, never: []string{"*.*/..."}, why: "the scheduler knows no domain: standard library only"},
	{from: "core/digest/...", only: []string{}, never: []string{"*.*/..."}, why: "what is identified is anybody's: standard library only"},
	{from: "core/engine/mirror/...", only: []string{"config", "sdk/..."}, why: "what stands in for a URL is in the configuration"},
	{from: "sdk/...", only: []string{"sdk/..."}, why: "the sdk is the contract and knows no host"},
	{from: "plugins/...", never: []string{module + "/core/...", module + "/config/..."}, why: "a plugin knows the sdk and nothing else"},
	{from: "config/...", only: []string{"config/...", "sdk/diag", "sdk/schema", "sdk/secret"}, why: "the language knows no plugins and no daemon"},
	{from: "core/...", except: []string{"core/engine/..."}, never: hcl, why: "only config and engine see HCL"},
	{from: "core/...", except: []string{"core/pluginhost/..."}, never: wire, why: "only the plugin host sees the wire"},
	{from: "core/...", never: outside, why: "the outside world is touched by plugins"},
	{from: "sdk/...", never: hcl, why: "a schema says what a configuration holds, not in which language it is written"},
	{from: "plugins/...", never: hcl, why: "a plugin gets its configuration decoded, by the sdk"},
	{from: "examples/...", never: hcl, why: "examples show the sdk as others use it"},
	{from: "sdk/...", never: outside, why: "every plugin author carries what the sdk imports"},
	{from: "config/...", never: outside, why: "the language is read without the outside world"},
	{from: "config/...", never: wire, why: "the language knows no plugin process"},
	{from: "plugins/...", never: wire, why: "a plugin is served by the sdk, which alone knows the wire"},
	{from: "core/manifest/...", except: []string{"core/manifest/edit/..."}, only: []string{"core/manifest/...", "sdk/..."}, why: "loading files needs no daemon"},
	{from: "core/manifest/edit/...", only: []string{"core/manifest/...", "core/images/ref", "sdk/..."}, why: "editing files needs no daemon, only references"},
	{from: "core/render/...", only: []string{"core/deadline", "core/images/ref", "core/manifest/...", "sdk/..."}, why: "rendering needs no daemon, only a renderer"},
	{from: "core/tree/...", only: []string{"core/tree/...", "sdk/..."}, why: "the tree store needs no daemon"},
	{from: "core/pluginhost/...", only: []string{"core/pluginhost/...", "sdk/..."}, why: "the plugin host serves any daemon"},
	{from: "core/rollout/...", never: []string{module + "/core/engine/...", module + "/core/api/...", module + "/core/cli/...", module + "/config/..."}, why: "imports point from the engine down"},
	{from: "core/...", except: []string{"core/images/..."}, never: oci, why: "only images speaks to registries"},
	{from: "core/credentials/...", only: []string{"core/credentials/...", "core/sched", "sdk/..."}, why: "the broker serves any daemon"},
	{from: "core/images/...", except: []string{"core/images/update/..."}, only: []string{"core/images/...", "core/credentials", "core/sched", "core/state/...", "sdk/..."}, why: "the scanner serves any daemon"},
	{from: "core/images/update/...", only: []string{"core/images/policy", "core/images/ref", "core/manifest/edit", "sdk/diag"}, why: "deciding about images reads and writes nothing"},
	{from: "core/writeback/...", only: []string{"core/manifest/edit", "core/sched", "core/state", "sdk/..."}, why: "the commit queue serves any daemon, and any reason to commit"},
	{from: "core/images/limit/...", only: []string{"core/images/limit/..."}, why: "the limiter knows no registry"},
	{from: "core/images/ref/...", only: []string{"core/images/glob"}, why: "a reference is a name"},
	{from: "core/images/remote/...", only: []string{"core/images/remote/...", "core/images/cache", "core/images/limit", "core/credentials", "sdk/..."}, why: "the registry client serves any scanner"},
	{from: "core/images/policy/...", only: []string{"core/images/...", "sdk/diag"}, why: "a policy orders tags, wherever they come from"},
	{from: "core/api/mask/...", only: []string{}, why: "what is secret is told by the values alone"},
	{from: "core/release", only: []string{"core/deadline", "core/manifest/values", "core/sched", "core/tree", "sdk/..."}, why: "keeping releases needs no daemon, only a helm"},
	{from: "core/release/resource/...", only: []string{"core/release", "sdk/..."}, why: "reading a resource touches nothing"},
	{from: "core/release/declare/...", only: []string{"config", "core/digest", "core/release", "core/release/resource", "sdk/..."}, why: "reading a declaration asks nobody"},
	{from: "core/release/leave/...", only: []string{"core/digest", "core/release", "core/release/declare", "sdk/..."}, why: "how a release ends is decided without ending it"},
	{from: "core/engine/charts/...", only: []string{"config", "core/digest", "core/engine/mirror", "core/release/resource", "sdk/..."}, why: "which source serves a chart is told by what is declared"},
	{from: "core/release/rivals/...", only: []string{"config", "core/digest", "core/release", "core/release/declare", "core/release/resource", "sdk/..."}, why: "who goes on with a release is told by what is declared, recorded and seen"},
	{from: "core/release/byhand/...", only: []string{"core/refusal", "core/release", "sdk/..."}, why: "what a person asks for is done by helm, whatever declares the release"},
	{from: "core/engine/resources/...", only: []string{"core/release", "core/release/resource", "core/sched", "sdk/..."}, why: "following resources, and writing their status, needs no engine"},
	{from: "core/release/blockimages/...", only: []string{"config", "core/images/ref", "core/manifest/...", "core/tree", "core/words", "core/workload", "sdk/..."}, why: "images in the values of a block are text: they need no helm and no daemon"},
	{from: "core/refusal/...", only: []string{}, never: []string{"*.*/..."}, why: "everybody refuses: standard library only"},
	{from: "core/deadline/...", only: []string{}, never: []string{"*.*/..."}, why: "everybody waits: standard library only"},
	{from: "core/words/...", only: []string{"sdk/source"}, why: "everybody talks: it may know no domain but what a revision is"},
	{from: "core/workload/...", only: []string{"core/credentials", "core/images/policy", "core/images/ref", "core/refusal", "sdk/..."}, why: "what runs is a value, which the API shows: it asks nobody"},
	{from: "core/available/...", only: []string{"core/deadline", "core/images", "core/updates/rules", "core/words", "core/workload", "sdk/..."}, why: "what registries have is the scanner's to know: no node is needed"},
	{from: "core/updates/rules/...", only: []string{"config", "core/digest", "core/images/...", "core/manifest/edit", "core/words", "core/workload", "core/writeback", "sdk/..."}, why: "deciding who decides reads and writes nothing"},
	{from: "core/updates/jobs/...", only: []string{"core/images/update", "core/refusal", "core/state", "core/words", "core/writeback"}, why: "a job is what is remembered of it, which the API shows"},
	{from: "core/updates/...", never: []string{module + "/core/engine/...", module + "/core/graph", module + "/core/api/...", module + "/core/cli/..."}, why: "what changes images sees the daemon through its Site, and no node"},
	{from: "core/engine/foreseen/...", only: []string{"core/release", "core/rollout", "sdk/..."}, why: "what a plan leads to follows from the plan, not from the engine"},
	{from: "core/install/...", only: []string{"config", "sdk/..."}, why: "manifests are made without a cluster or a daemon"},
	{from: "core/engine/...", never: []string{module + "/core/api/...", module + "/core/cli/..."}, why: "imports point from the engine down"},
}

// TestImports checks every rule against every Go file that is not a test.
func TestImports(t *testing.T) {
	pkgs := packages(t)
	for _, r := range rules {
		matched := false
		for _, p := range pkgs {
			if !match(p.dir, r.from) || matchAny(p.dir, r.except) {
				continue
			}
			matched = true
			for _, imp := range p.imports {
				if msg := r.breach(imp); msg != "" {
					t.Errorf("%s imports %s: %s (%s)", p.dir, imp, msg, r.why)
				}
			}
		}
		if !matched {
			t.Errorf("the rule for %s matches no package: remove it", r.from)
		}
	}
}

// TestPluginsDoNotImportEachOther: a plugin is built, tested and shipped by
// itself.
func TestPluginsDoNotImportEachOther(t *testing.T) {
	plugins := map[string]bool{}
	for _, p := range packages(t) {
		own, ok := pluginOf(p.dir)
		if !ok {
			continue
		}
		plugins[own] = true
		for _, imp := range p.imports {
			local, _ := strings.CutPrefix(imp, module+"/")
			if other, ok := pluginOf(local); ok && other != own {
				t.Errorf("%s imports %s: plugins share nothing but the sdk", p.dir, imp)
			}
		}
	}
	if len(plugins) < 2 {
		t.Errorf("found the plugins %v, want at least two: remove this test", slices.Collect(maps.Keys(plugins)))
	}
}

// pluginOf is the plugin that a directory of the repository belongs to.
func pluginOf(dir string) (name string, ok bool) {
	below, ok := strings.CutPrefix(dir, "plugins/")
	name, _, _ = strings.Cut(below, "/")
	return name, ok
}

// TestPackageComments checks that each package says what it provides.
func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		if !p.documented {
			t.Errorf("%s has no package comment", p.dir)
		}
		if name := path.Base(p.dir); slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc"}, name) {
			t.Errorf("%s: name a package for what it provides", p.dir)
		}
	}
}

func (r rule) breach(imp string) string {
	if local, ok := strings.CutPrefix(imp, module+"/"); ok && r.only != nil && !matchAny(local, r.only) {
		return "not among what it may import"
	}
	for _, n := range r.never {
		if match(imp, n) {
			return "forbidden"
		}
	}
	return ""
}

func matchAny(s string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(s, p) })
}

// match reports whether s is pattern, or below it where pattern ends in /...
// The pattern "*.*/..." is every import path whose first element has a dot:
// everything but the standard library.
func match(s, pattern string) bool {
	if pattern == "*.*/..." {
		first, _, _ := strings.Cut(s, "/")
		return strings.Contains(first, ".")
	}
	prefix, below := strings.CutSuffix(pattern, "/...")
	return s == prefix || below && strings.HasPrefix(s, prefix+"/")
}
