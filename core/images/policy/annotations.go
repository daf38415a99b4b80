package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Prefixes are what the keys of annotations may begin with, in the order in
// which they count.
func Prefixes() []string { return []string{"sluice.dev/", "fluxcd.io/", "flux.weave.works/"} }

const (
	filterPrefix = "filter.fluxcd.io/" // + container, means what fluxcd.io/tag. + container does
	tagPrefix    = "tag."

	yes = "true"
)

// What else an annotation may say, of one container with a dot and its name
// after it, or of all.
const (
	minAgeKey    = "min_age"
	platformsKey = "platforms"
	downgradeKey = "allow_downgrade"
	digestKey    = "digest"
)

func settings() []string { return []string{minAgeKey, platformsKey, downgradeKey, digestKey} }

// maxWarnings is how many annotations of one workload are worth a warning; it
// may have thousands.
const maxWarnings = 20

// What follows the prefix.
const (
	automatedKey    = "automated"
	lockedKey       = "locked"
	lockedUserKey   = "locked_user"
	lockedReasonKey = "locked_msg"
	ignoreKey       = "ignore"
	syncOnly        = "sync_only" // of ignore: means nothing for images
)

// misspelt are keys that people write for another.
func misspelt() map[string]string {
	return map[string]string{
		"ignored": ignoreKey, "ignores": ignoreKey, "automate": automatedKey, "automatic": automatedKey,
		"automation": automatedKey, "auto": automatedKey, "lock": lockedKey, "locked-user": lockedUserKey, "locked-msg": lockedReasonKey,
		"tag_all": tagPrefix + "CONTAINER", "tag": tagPrefix + "CONTAINER",
		"min-age": minAgeKey, "minage": minAgeKey, "age": minAgeKey, "platform": platformsKey,
		"allow-downgrade": downgradeKey, "downgrade": downgradeKey, "digests": digestKey, "pin": digestKey,
	}
}

// Workload is what the annotations of a workload say about its images.
type Workload struct {
	Automated bool // new images are rolled out
	Locked    bool // neither automation nor a release touches it
	Ignored   bool // it is not looked after at all

	LockedBy     string // who locked it
	LockedReason string

	// Warnings name annotations that have no effect though somebody most
	// likely wanted one, and say what to write. They are sorted.
	Warnings []string

	patterns map[string]annotation  // by container
	settings map[setting]annotation // an empty container is all
}

// setting is one of settings with the container that it is about.
type setting struct{ name, container string }

// annotation is a value with the key that it stands under.
type annotation struct{ key, value string }

// Of reads the annotations of a workload's own metadata, not of its pods.
//
//	PREFIX/automated, locked, ignore    count only if the value is exactly "true"
//	PREFIX/locked_user, locked_msg      who locked it and why
//	PREFIX/tag.CONTAINER                the pattern for the tags of a container
//	filter.fluxcd.io/CONTAINER          the same
//	PREFIX/min_age[.CONTAINER]          how old an image must be, such as 36h or 3d
//	PREFIX/platforms[.CONTAINER]        what it must be made for, such as linux/amd64,linux/arm64
//	PREFIX/allow_downgrade[.CONTAINER]  "true" or "false"
//	PREFIX/digest[.CONTAINER]           keep, pin or drop
//
// PREFIX is one of Prefixes. Of several the first counts, as it does for syncs,
// and a different value under another is a warning; filter.fluxcd.io/ comes
// right after fluxcd.io/tag.
func Of(annotations map[string]string) Workload {
	r := annotationReader{annotations: annotations}
	w := Workload{
		Automated: r.flag(automatedKey), Locked: r.flag(lockedKey), Ignored: r.flag(ignoreKey),
		LockedBy: r.text(lockedUserKey), LockedReason: r.text(lockedReasonKey),
		patterns: r.patterns(), settings: r.settings(),
	}
	r.nearMisses()
	slices.Sort(r.warnings)
	w.Warnings = slices.Compact(r.warnings)
	if more := len(w.Warnings) - maxWarnings; more > 0 {
		w.Warnings = append(slices.Clip(w.Warnings[:maxWarnings]), fmt.Sprintf("and %d more like these", more))
	}
	return w
}

// Pattern returns the pattern for the tags of a container as it is written, and
// whether there is one; without one, Default counts.
func (w Workload) Pattern(container string) (pattern string, ok bool) {
	a, ok := w.patterns[container]
	return a.value, ok
}

// PatternKey returns the annotation that the pattern of a container stands in.
func (w Workload) PatternKey(container string) string { return w.patterns[container].key }

// Containers returns the containers that have a pattern, sorted. Whoever knows
// the workload's containers can tell which of them do not exist.
func (w Workload) Containers() []string { return slices.Sorted(maps.Keys(w.patterns)) }

type annotationReader struct {
	annotations map[string]string
	warnings    []string
}

func (r *annotationReader) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// flag reports whether the annotation that counts for name is "true".
func (r *annotationReader) flag(name string) bool {
	a, _ := r.first(name)
	switch {
	case a.value == yes:
		return true
	case a.value == "", a.value == "false", name == ignoreKey && a.value == syncOnly:
	default:
		r.warn("annotation %s: %s has no effect: write \"true\", with quotes", quote(a.key), quote(a.value))
	}
	return false
}

func (r *annotationReader) text(name string) string {
	a, _ := r.first(name)
	return a.value
}

// first returns the annotation of the first prefix that has name, and warns of
// others that say something else.
func (r *annotationReader) first(name string) (annotation, bool) {
	var keys []string
	for _, prefix := range Prefixes() {
		keys = append(keys, prefix+name)
	}
	return r.firstOf(keys)
}

func (r *annotationReader) firstOf(keys []string) (first annotation, found bool) {
	for _, key := range keys {
		value, ok := r.annotations[key]
		switch {
		case !ok:
		case !found:
			first, found = annotation{key, value}, true
		case value != first.value:
			r.warn("annotation %s: %s has no effect: %s says %s", quote(key), quote(value), quote(first.key), quote(first.value))
		}
	}
	return first, found
}

// patterns returns the annotation that counts for each container that has one.
func (r *annotationReader) patterns() map[string]annotation {
	found := map[string]annotation{}
	for key := range r.annotations {
		container, ok := containerOf(key)
		if !ok {
			continue
		}
		if container == "" {
			r.warn("annotation %s has no effect: it names no container", quote(key))
			continue
		}
		if _, done := found[container]; !done {
			found[container], _ = r.firstOf(patternKeys(container))
		}
	}
	return found
}

// settings returns the annotation that counts for each setting that there is.
func (r *annotationReader) settings() map[setting]annotation {
	found := map[setting]annotation{}
	for key := range r.annotations {
		s, ok := settingOf(key)
		if !ok {
			continue
		}
		if _, done := found[s]; done {
			continue
		}
		name := s.name
		if s.container != "" {
			name += "." + s.container
		}
		found[s], _ = r.first(name)
	}
	return found
}

// settingOf returns the setting that the annotation key is.
func settingOf(key string) (setting, bool) {
	for _, prefix := range Prefixes() {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		for _, name := range settings() {
			if rest == name {
				return setting{name: name}, true
			}
			if container, ok := strings.CutPrefix(rest, name+"."); ok && container != "" {
				return setting{name, container}, true
			}
		}
	}
	return setting{}, false
}

// patternKeys are the annotations that may hold the pattern of a container, the
// one that counts first.
func patternKeys(container string) []string {
	var keys []string
	for _, prefix := range Prefixes() {
		keys = append(keys, prefix+tagPrefix+container)
		if prefix == "fluxcd.io/" {
			keys = append(keys, filterPrefix+container)
		}
	}
	return keys
}

// containerOf returns the container that the annotation key is a pattern for.
func containerOf(key string) (container string, ok bool) {
	if container, ok = strings.CutPrefix(key, filterPrefix); ok {
		return container, true
	}
	for _, prefix := range Prefixes() {
		if container, ok = strings.CutPrefix(key, prefix+tagPrefix); ok {
			return container, true
		}
	}
	return "", false
}

// nearMisses warns of keys that nobody reads and that look like one that
// counts.
func (r *annotationReader) nearMisses() {
	known := append([]string{automatedKey, lockedKey, lockedUserKey, lockedReasonKey, ignoreKey}, settings()...)
	for key := range r.annotations {
		for _, prefix := range Prefixes() {
			name, ok := strings.CutPrefix(key, prefix)
			if _, set := settingOf(key); !ok || set || slices.Contains(known, name) {
				continue
			}
			lower := strings.ToLower(name)
			meant, wrong := misspelt()[lower]
			if !wrong {
				meant = lower // if only the case is wrong
				if !slices.Contains(known, lower) {
					meant = diag.Nearest(lower, known)
				}
				wrong = meant != ""
			}
			if wrong {
				r.warn("annotation %s has no effect: write %s", quote(key), quote(prefix+meant))
			}
		}
	}
}
