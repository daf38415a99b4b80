package config

import (
	"encoding/json"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// askPlugins lets the plugins check what fits their schemas, all
// configurations of a type at once.
func (l *loader) askPlugins() {
	v, ok := l.schemas.(Validator)
	if !ok {
		return
	}
	var types []string // in the order of the files
	byType := map[string][]PluginConfig{}
	for _, p := range l.plugged {
		if byType[p.String()] == nil {
			types = append(types, p.String())
		}
		byType[p.String()] = append(byType[p.String()], p)
	}
	for _, t := range types {
		l.askPlugin(v, byType[t])
	}
}

func (l *loader) askPlugin(v Validator, all []PluginConfig) {
	configs := make([]json.RawMessage, len(all))
	for i, p := range all {
		configs[i] = p.JSON
	}
	problems, err := v.Validate(all[0].Kind, all[0].Type, configs)
	if err != nil {
		l.warnf(all[0].root.rng, "Not checked by its plugin", "%s", fullStop(upperFirst(err.Error())))
		return
	}
	for i, p := range all[:min(len(all), len(problems))] {
		for _, d := range problems[i] {
			at := p.Locate(d.Path)
			l.list = append(l.list, diag.Diagnostic{Severity: d.Severity, Summary: d.Summary, Detail: d.Detail, Subject: &at})
		}
	}
}
