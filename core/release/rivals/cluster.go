package rivals

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
)

// bounds are the arguments of the helm plugin that do not tell one cluster from
// another.
var bounds = []string{"namespaces", "storage", "max_index", "max_chart"}

// ClusterOf identifies the cluster that a helm reaches, as far as its arguments
// tell. ok is false if they do not.
func ClusterOf(p config.PluginConfig) (cluster string, ok bool) {
	args := map[string]json.RawMessage{}
	if json.Unmarshal(p.JSON, &args) != nil {
		return "", false
	}
	for name, value := range args {
		empty := slices.ContainsFunc([]string{"null", `""`, "false", "[]"}, func(none string) bool { return bytes.Equal(value, []byte(none)) })
		if empty || slices.Contains(bounds, name) {
			delete(args, name)
		}
	}
	return digest.Of(p.Type, args), true
}
