package release

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Digest tells what a release is made from, so that two can be compared by part.
// A revision carries it as a label.
type Digest struct{ Chart, Values, Options string }

// digestPart is the length of each part: three of them and two dots fit into a
// label value.
const digestPart = 20

// digestOf is the digest of a declared release.
func digestOf(s *Spec, chart string, values []byte) Digest {
	options, _ := json.Marshal(struct { // strings and bools: cannot fail
		CRDs  helm.CRDs
		Reuse bool
	}{s.CRDs, s.ReuseValues})
	return Digest{
		Chart: short([]byte(chart), digestPart), Values: short(values, digestPart), Options: short(options, digestPart),
	}
}

// String is the digest as a label value.
func (d Digest) String() string { return d.Chart + "." + d.Values + "." + d.Options }

// parseDigest reads String's form; ok is false for anything else.
func parseDigest(text string) (d Digest, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Digest{}, false
	}
	return Digest{parts[0], parts[1], parts[2]}, true
}

// changes names what is different from an earlier digest.
func (d Digest) changes(earlier string, from, to ChartInfo) string {
	was, ok := parseDigest(earlier)
	if !ok {
		return "what it is made from"
	}
	var parts []string
	if was.Chart != d.Chart {
		parts = append(parts, "the chart"+versions(from, to))
	}
	if was.Values != d.Values {
		parts = append(parts, "the values")
	}
	if was.Options != d.Options {
		parts = append(parts, "the options")
	}
	switch len(parts) {
	case 0:
		return "nothing"
	case 1:
		return parts[0]
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

func versions(from, to ChartInfo) string {
	switch {
	case to.Version == "":
		return ""
	case from.Version != "" && from.Version != to.Version:
		return fmt.Sprintf(" (%s to %s)", from.Version, to.Version)
	case from.Version == to.Version:
		return fmt.Sprintf(" (%s, with other files)", to.Version)
	}
	return fmt.Sprintf(" (to %s)", to.Version)
}
