package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rules returns what the annotations say of a container. Without a pattern it
// is Default. Annotations that are not valid make Rules.Err: nothing is taken
// rather than without what somebody wanted.
func (w Workload) Rules(container string) Rules {
	base := Rules{Source: "default"}
	base.Policy, base.Err = Parse(Default)
	return w.Refine(container, base)
}

// Refine returns base, rules from elsewhere, with what the annotations say of a
// container: each of them replaces its part, and one for the container counts
// before one for all.
func (w Workload) Refine(container string, base Rules) Rules {
	r := base
	if a, ok := w.patterns[container]; ok {
		r.Policy, r.Err = Parse(a.value)
		r.Err, r.Source = a.wrong(r.Err), a.place()
	}
	for _, name := range settings() {
		a, ok := w.settings[setting{name, container}]
		if !ok {
			a, ok = w.settings[setting{name, ""}]
		}
		if !ok {
			continue
		}
		if err := r.set(name, a.value); err != nil && r.Err == nil {
			r.Err = a.wrong(err)
		}
	}
	return r
}

func (a annotation) place() string { return "annotation " + a.key }

// wrong adds to an error where it is.
func (a annotation) wrong(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", a.place(), err)
}

// set changes one part of r to what an annotation says.
func (r *Rules) set(name, text string) (err error) {
	switch name {
	case minAgeKey:
		r.MinAge, err = ParseAge(text)
	case platformsKey:
		r.Platforms, err = ParsePlatforms(text)
	case digestKey:
		r.Digest, err = ParseDigestMode(text)
	case downgradeKey:
		if r.Downgrade = text == yes; !r.Downgrade && text != "false" {
			err = fmt.Errorf("%s: write \"true\" or \"false\", with quotes", quote(text))
		}
	}
	return err
}

// maxAge bounds ParseAge, in days: hundred years.
const maxAge = 36500

// ParseAge reads a duration as Go writes it, with days before it: 90m, 3d,
// 1d12h. It is not negative.
func ParseAge(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%s is no age: write 90m, 36h or 3d", quote(text))
	rest, days := text, 0
	if number, after, ok := strings.Cut(text, "d"); ok && allDigits(number) {
		n, err := strconv.Atoi(number)
		if err != nil || n > maxAge {
			return 0, wrong
		}
		days, rest = n, after
		if rest == "" {
			rest = "0"
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > maxAge*24*time.Hour {
		return 0, wrong
	}
	return time.Duration(days)*24*time.Hour + d, nil
}

// ParsePlatforms reads platforms, each os/architecture or
// os/architecture/variant, with commas between them.
func ParsePlatforms(text string) ([]string, error) {
	var all []string
	for platform := range strings.SplitSeq(text, ",") {
		platform = strings.TrimSpace(platform)
		parts := strings.Split(platform, "/")
		if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") || platform != strings.ToLower(platform) {
			return nil, fmt.Errorf("%s is no platform: write linux/amd64 or linux/arm/v7, with commas between several", quote(platform))
		}
		all = append(all, platform)
	}
	return all, nil
}

// ParseDigestMode reads "keep", "pin" or "drop".
func ParseDigestMode(text string) (DigestMode, error) {
	mode := DigestMode(text)
	if !slices.Contains([]DigestMode{KeepDigest, PinDigest, DropDigest}, mode) {
		return "", fmt.Errorf("%s: write keep, pin or drop", quote(text))
	}
	return mode, nil
}
