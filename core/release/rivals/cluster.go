package rivals

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
)

// naming are the arguments that tell one cluster from another, of the types of
// helms that we know. Of another type all arguments may.
var naming = map[string][]string{"helm": {"kubeconfig", "context", "in_cluster"}}

// ClusterOf identifies the cluster that a helm reaches, as far as its arguments
// tell, and without their secrets. What it may do there, and how much of it, does
// not count, nor does an argument that is not given: a helm that is configured
// anew, or whose plugin has learned more, is at the same cluster. ok is false if
// the arguments do not tell.
func ClusterOf(p config.PluginConfig) (cluster string, ok bool) {
	text := p.JSON
	names, known := naming[p.Type]
	if !known {
		text = withoutSecrets(p)
	}
	args := map[string]json.RawMessage{}
	if json.Unmarshal(text, &args) != nil {
		return "", false
	}
	maps.DeleteFunc(args, func(name string, value json.RawMessage) bool {
		empty := slices.ContainsFunc([]string{"null", `""`, "false", "[]"}, func(none string) bool { return bytes.Equal(value, []byte(none)) })
		return empty || known && !slices.Contains(names, name)
	})
	return digest.Of(p.Type, args), true
}

// withoutSecrets are the arguments of p as people may see them.
func withoutSecrets(p config.PluginConfig) json.RawMessage {
	var shown struct {
		Config json.RawMessage `json:"config"`
	}
	if text, err := json.Marshal(p); err != nil || json.Unmarshal(text, &shown) != nil {
		return nil
	}
	return shown.Config
}
