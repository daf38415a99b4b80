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

// changes names what is different from what a revision was made from.
func (w Wanted) changes(rev helm.Revision) string {
	d := w.Digest
	was, ok := parseDigest(rev.Digest)
	if !ok {
		return "what it is made from"
	}
	var parts []string
	if was.Chart != d.Chart {
		parts = append(parts, "the chart"+w.Chart.since(rev.Chart))
	}
	if was.Values != d.Values {
		parts = append(parts, "the values")
	}
	if was.Options != d.Options {
		parts = append(parts, "the options")
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// since tells how the chart differs from an earlier one, a name-version.
func (c ChartInfo) since(earlier string) string {
	switch {
	case c.Version == "":
		return ""
	case strings.HasSuffix(earlier, "-"+c.Version):
		return fmt.Sprintf(" (%s, with other files)", earlier)
	case earlier == "":
		return fmt.Sprintf(" (to %s)", c.Version)
	}
	return fmt.Sprintf(" (%s to %s)", earlier, c.Version)
}
