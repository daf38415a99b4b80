package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sluice-gitops/sluice/core/engine"
)

// metrics writes the Prometheus text format. The set is small and every value
// comes from what the engine and the plugin host tell anyway.
func (s *server) metrics(w http.ResponseWriter, _ *http.Request) {
	var b metricsText
	nodes := s.engine.Status().Nodes
	b.family("sluice_node_state", "gauge", "1 for the state that the node is in")
	for _, n := range nodes {
		b.sample("sluice_node_state", 1, "node", n.ID, "state", string(n.State))
	}
	b.nodes(nodes, "sluice_node_objects", "objects that the sync wants", func(n engine.Node) float64 { return float64(n.Objects) })
	b.nodes(nodes, "sluice_node_failed_objects", "objects and files that failed", func(n engine.Node) float64 { return float64(n.Failed) })
	b.nodes(nodes, "sluice_node_failures", "failed runs in a row", func(n engine.Node) float64 { return float64(n.Failures) })
	b.nodes(nodes, "sluice_node_last_ready_timestamp_seconds", "when the node was last ready, 0 if never", func(n engine.Node) float64 {
		if n.LastReady.IsZero() {
			return 0
		}
		return float64(n.LastReady.UnixMilli()) / 1000
	})
	b.plugins(s)
	b.family("sluice_config_ok", "gauge", "1 if the last reading of the configuration had no errors")
	ok := 0.0
	if s.engine.ConfigStatus().OK {
		ok = 1
	}
	b.sample("sluice_config_ok", ok)
	b.family("sluice_build_info", "gauge", "1, with the version of the daemon")
	b.sample("sluice_build_info", 1, "version", s.version)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, err := w.Write([]byte(b.String()))
	s.noteWrite(err)
}

// metricsText builds an exposition.
type metricsText struct{ strings.Builder }

func (b *metricsText) family(name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample writes one value; labels are names and values in turn.
func (b *metricsText) sample(name string, value float64, labels ...string) {
	b.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(b, `%s%s="%s"`, sep, labels[i], escapeLabel.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		b.WriteString("}")
	}
	fmt.Fprintf(b, " %g\n", value)
}

var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (b *metricsText) nodes(nodes []engine.Node, name, help string, value func(engine.Node) float64) {
	b.family(name, "gauge", help)
	for _, n := range nodes {
		b.sample(name, value(n), "node", n.ID)
	}
}

func (b *metricsText) plugins(s *server) {
	plugins := s.engine.Plugins()
	b.family("sluice_plugin_up", "gauge", "1 if the plugin's process is there")
	for _, p := range plugins {
		up := 0.0
		if p.PID != 0 {
			up = 1
		}
		b.sample("sluice_plugin_up", up, "plugin", p.Plugin)
	}
	b.family("sluice_plugin_restarts_total", "counter", "starts of the plugin after accidents")
	for _, p := range plugins {
		b.sample("sluice_plugin_restarts_total", float64(p.Restarts), "plugin", p.Plugin)
	}
	b.family("sluice_plugin_resident_bytes", "gauge", "resident memory of the plugin's process")
	for _, p := range plugins {
		b.sample("sluice_plugin_resident_bytes", float64(p.RSS), "plugin", p.Plugin)
	}
}
