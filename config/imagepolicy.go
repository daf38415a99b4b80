package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

var policySchema = schema.Schema{Attributes: []schema.Attribute{
	{Name: "for_each"}, {Name: "policy", Required: true}, {Name: "sync"}, {Name: "workloads"}, {Name: "containers"}, {Name: "images"},
	{Name: "platforms"}, {Name: "min_age"}, {Name: "digest"}, {Name: "allow_downgrade"}, {Name: "automated"}, {Name: "markers"},
}}

// ImagePolicy is one image_policy block, or one instance of it: which tags the
// images of some containers may have. It is about the containers that all of
// Sync, Workloads, Containers and Images name. In their patterns a * stands for
// anything.
type ImagePolicy struct {
	Block
	Sync       string   // address; "" for all
	Workloads  []string // patterns of workloads, as in "shop:deployment/*"; nil: all
	Containers []string // patterns of names; nil: all
	Images     []string // patterns of repositories with their host; nil: all

	Policy         Pattern       // such as "semver:^1"; whether it is one is for others to say
	Platforms      []string      // that a tag must have all of, such as "linux/amd64"
	MinAge         time.Duration // of a tag
	Digest         string        // what becomes of a pinned reference: "keep", "pin" or "drop"
	AllowDowngrade bool

	Automated bool     // without an annotation that says so
	Markers   []string // names that markers in files use, besides the block's
}

func (l *loader) addPolicy(b Block, a *arguments) {
	markers := a.matching("markers", checkMarkerName)
	p := ImagePolicy{
		Block:          b,
		Sync:           a.reference("sync", kindSync),
		Workloads:      a.selection("workloads", checkWorkload),
		Containers:     a.selection("containers", checkContainer),
		Images:         a.selection("images", checkRepository),
		Policy:         a.policy("policy"),
		Platforms:      texts(a.matching("platforms", checkPlatform)),
		MinAge:         a.duration("min_age", 0, 0),
		Digest:         a.oneOf("digest", "keep", "keep", "pin", "drop"),
		AllowDowngrade: a.bool("allow_downgrade", false),
		Automated:      a.bool("automated", true),
		Markers:        texts(markers),
	}
	if p.Automated && a.absent("sync") && a.absent("workloads") && a.absent("containers") && a.absent("images") {
		l.warnf(a.header, "Policy for everything",
			"The policy names no sync, workloads, containers or images, so that it automates all there are. If this is meant, write workloads = [\"*\"].")
	}
	for _, name := range append([]element{{text: b.Name, at: a.header}}, markers...) {
		if first, ok := l.claim("marker "+name.text, b.Address, name.at); !ok {
			l.errorf(name.at, "Duplicate marker", "Markers by the name %q are those of %s, at %s. Use another name.", name.text, first.address, toRange(first.at))
		}
	}
	l.cfg.ImagePolicies = append(l.cfg.ImagePolicies, p)
}

// policy returns the text of a policy with its place.
func (a *arguments) policy(name string) Pattern {
	v, at, ok := a.value(name, cty.String)
	if !ok {
		return Pattern{Range: toRange(at)}
	}
	text := strings.TrimSpace(plain(v))
	if text == "" {
		a.l.errorf(at, "Empty policy", "The policy takes no tag. Write such as \"semver:^1\", or \"glob:*\" to take the newest of all.")
	}
	return Pattern{Text: text, Range: toRange(at)}
}

// selection is matching, where an empty list is no way to write none.
func (a *arguments) selection(name string, check func(string) string) []string {
	if elements := a.strings(name); elements != nil && len(elements) == 0 {
		a.l.errorf(a.at(name), "Empty list", "An empty list selects nothing. Leave %q out to select everything.", name)
	}
	return texts(a.matching(name, check))
}

// matching returns the strings of a list that check has nothing against; nil
// if there is none. What check returns tells what is wrong.
func (a *arguments) matching(name string, check func(string) string) []element {
	var list []element
	for _, e := range a.strings(name) {
		if problem := check(e.text); problem != "" {
			a.l.errorf(e.at, "Wrong value", "%q is no value for %q: %s.", e.text, name, problem)
			continue
		}
		list = append(list, e)
	}
	return list
}

// texts returns each text once; nil if there is none.
func texts(elements []element) []string {
	var list []string
	for _, e := range elements {
		if !slices.Contains(list, e.text) {
			list = append(list, e.text)
		}
	}
	return list
}

var (
	// workloadPattern is namespace:kind/name, or anything shorter with a *.
	workloadPattern = regexp.MustCompile(`^[a-z0-9.*-]+:[a-z0-9.*-]+/[a-z0-9.*-]+$`)
	workloadPart    = regexp.MustCompile(`^[a-z0-9.*:/-]*\*[a-z0-9.*:/-]*$`)
	kindAndName     = regexp.MustCompile(`^[a-z0-9.*-]+/[a-z0-9.*-]+$`)
	containerName   = regexp.MustCompile(`^[A-Za-z0-9_.*-]+$`)
)

func checkWorkload(s string) string {
	lower := strings.ToLower(s)
	switch {
	case strings.Count(s, ":") <= 1 && strings.Count(s, "/") <= 1 && (workloadPattern.MatchString(s) || !kindAndName.MatchString(s) && workloadPart.MatchString(s)):
		return ""
	case kindAndName.MatchString(lower):
		return "the namespace is missing; write \"shop:" + lower + "\", or \"*:" + lower + "\" for any"
	case lower != s && checkWorkload(lower) == "":
		return "workloads are written in lower case: \"" + lower + "\""
	}
	return "a workload is namespace:kind/name, such as \"shop:deployment/web\"; a * stands for anything, as in \"shop:*\""
}

func checkContainer(s string) string {
	if containerName.MatchString(s) {
		return ""
	}
	return "a container has a name such as \"web\"; a * stands for anything, as in \"web-*\""
}

var platform = regexp.MustCompile(`^([a-z0-9]+)/([a-z0-9_]+)(/[a-z0-9]+)?$`)

// otherNames are what architectures are called elsewhere, by their names in
// registries.
var otherNames = map[string]string{
	"x86_64": "amd64", "x64": "amd64", "aarch64": "arm64", "armv8": "arm64", "armhf": "arm", "armv7": "arm/v7", "armv6": "arm/v6",
	"i386": "386", "i686": "386", "x86": "386", "ppc64el": "ppc64le",
}

func checkPlatform(s string) string {
	m := platform.FindStringSubmatch(s)
	if m == nil {
		return "a platform is an operating system and an architecture, such as \"linux/amd64\" or \"linux/arm/v7\""
	}
	system, arch := m[1], m[2]
	if name := otherNames[arch]; name != "" {
		return "registries call it \"" + system + "/" + name + "\""
	}
	systems, archs := []string{"linux", "windows", "darwin", "freebsd"}, []string{"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", "mips64le", "wasm"}
	if best := diag.Nearest(system, systems); best != "" && best != system {
		return "the nearest known one is \"" + best + "/" + arch + m[3] + "\""
	}
	if best := diag.Nearest(arch, archs); best != "" && !slices.Contains(archs, arch) {
		return "the nearest known one is \"" + system + "/" + best + m[3] + "\""
	}
	return ""
}

// markerName is a name of an image_policy, or of one of Flux 2 with its
// namespace.
var markerName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?(:[a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$`)

func checkMarkerName(s string) string {
	if markerName.MatchString(s) {
		return ""
	}
	return "a marker names a policy, such as \"app\", or as Flux 2 does \"flux-system:app\""
}
