package resource

import (
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/release"
)

// places are the fields of an entry of valuesFrom, of which one is set.
var places = []string{"configMapKeyRef", "secretKeyRef", "externalSourceRef", "chartFileRef"}

// valuesFrom reads one place that values come from.
func (p *parser) valuesFrom(f *fields) {
	var set []string
	for _, name := range places {
		if f.has(name) {
			set = append(set, name)
		}
	}
	f.end()
	if len(set) != 1 {
		f.advise(f.path, "Set exactly one of "+strings.Join(places, ", ")+"; values from several places are several entries.", "values come from one place each")
		return
	}
	place := f.object(set[0])
	from := release.ValuesFrom{Optional: place.flag("optional", false), Lenient: true, Place: p.place(place.path)}
	switch set[0] {
	case "configMapKeyRef":
		from.ConfigMap = p.key(place)
	case "secretKeyRef":
		from.Secret = p.key(place)
	case "externalSourceRef":
		from.NoLocal = !p.LocalURLs
		from.URL = p.required(place, "url", "the URL of the values")
		if from.URL != "" && !slices.Contains([]string{"http", "https"}, scheme(from.URL)) {
			place.problem(place.at("url"), "this is no URL that begins with https:// or http://")
		}
	case "chartFileRef":
		from.ChartFile = p.required(place, "path", "the path of a file of the chart")
		if !local(from.ChartFile) {
			place.problem(place.at("path"), "the path leads out of the chart")
		}
	}
	place.end()
	p.Spec.From = append(p.Spec.From, from)
}

// key reads a key of a ConfigMap or Secret.
func (p *parser) key(f *fields) *release.ObjectKey {
	key := &release.ObjectKey{Name: p.required(f, "name", "the name"), Key: f.text("key"), Namespace: p.reachable(f, f.text("namespace"))}
	if key.Key == "" {
		key.Key = defaultValuesKey
	}
	return key
}
