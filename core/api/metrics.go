package api

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/release"
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
	b.credentials(s)
	b.images(s)
	b.updates(s)
	b.releases(s)
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

func (b *metricsText) credentials(s *server) {
	providers := s.engine.CredentialMetrics().Providers
	each := func(name, kind, help string, value func(credentials.ProviderMetrics) (float64, bool)) {
		b.family(name, kind, help)
		for _, p := range providers {
			if v, ok := value(p); ok {
				b.sample(name, v, "provider", p.Provider)
			}
		}
	}
	each("sluice_credential_requests_total", "counter", "times that the provider was asked", func(p credentials.ProviderMetrics) (float64, bool) { return float64(p.Requests), true })
	each("sluice_credential_failures_total", "counter", "of these, that failed", func(p credentials.ProviderMetrics) (float64, bool) { return float64(p.Failures), true })
	each("sluice_credential_refreshes_total", "counter", "of these, ahead of the end of a credential", func(p credentials.ProviderMetrics) (float64, bool) { return float64(p.Refreshes), true })
	each("sluice_credential_refusals_total", "counter", "credentials that a registry refused", func(p credentials.ProviderMetrics) (float64, bool) { return float64(p.Refusals), true })
	each("sluice_credential_expiry_seconds", "gauge", "time to the end of the credential that ends first", func(p credentials.ProviderMetrics) (float64, bool) {
		return p.Expiry.Seconds(), p.Expiry >= 0
	})
}

func (b *metricsText) images(s *server) {
	hosts := s.engine.ImageMetrics().Hosts
	each := func(name, kind, help string, value func(images.HostMetrics) float64) {
		b.family(name, kind, help)
		for _, host := range slices.Sorted(maps.Keys(hosts)) {
			b.sample(name, value(hosts[host]), "host", host)
		}
	}
	each("sluice_image_repositories", "gauge", "repositories that are scanned", func(h images.HostMetrics) float64 { return float64(h.Repositories) })
	each("sluice_image_scans_total", "counter", "complete listings of tags", func(h images.HostMetrics) float64 { return float64(h.Scans) })
	each("sluice_image_scan_failures_total", "counter", "listings of tags that failed", func(h images.HostMetrics) float64 { return float64(h.Failures) })
	each("sluice_image_reads_total", "counter", "images whose manifest was read", func(h images.HostMetrics) float64 { return float64(h.Images) })
	each("sluice_image_scan_lag_seconds", "gauge", "how long the first repository that is due has waited", func(h images.HostMetrics) float64 { return h.Lag.Seconds() })
	for name, count := range map[string]func(limit.Budget) uint64{
		"sluice_registry_requests_total":  func(l limit.Budget) uint64 { return l.Requests },
		"sluice_registry_throttled_total": func(l limit.Budget) uint64 { return l.Throttled },
	} {
		b.family(name, "counter", "requests to a registry, and those of them that it refused as too many")
		for _, l := range s.engine.ImageBudget() {
			b.sample(name, float64(count(l)), "host", l.Host, "credential", l.Identity)
		}
	}
}

// updates are the figures of what is written to git.
func (b *metricsText) updates(s *server) {
	m := s.engine.UpdateMetrics()
	one := func(name, kind, help string, value float64) {
		b.family(name, kind, help)
		b.sample(name, value)
	}
	one("sluice_updates_written_total", "counter", "changes of git that were written, reverts included", float64(m.Commits))
	one("sluice_updates_failed_total", "counter", "changes of git of which nothing was written", float64(m.Failures))
	one("sluice_updates_conflicts_total", "counter", "edits that were left out because they could not be made any more", float64(m.Conflicts))
	one("sluice_updates_pending", "gauge", "changes that have not reached their repositories yet", float64(m.Pending))
	one("sluice_rollouts_followed", "gauge", "automated updates whose rollout is followed", float64(m.Rollouts))
	one("sluice_rollouts_failed_total", "counter", "automated updates whose rollout failed", float64(m.Failed))
	one("sluice_images_quarantined", "gauge", "images that automation leaves alone", float64(m.Held))
	b.family("sluice_jobs", "gauge", "releases and policy changes that are remembered, by state")
	for _, state := range slices.Sorted(maps.Keys(m.Jobs)) {
		b.sample("sluice_jobs", float64(m.Jobs[state]), "state", state)
	}
}

// releases are the figures of Helm releases.
func (b *metricsText) releases(s *server) {
	m := s.engine.HelmMetrics()
	of := func(r engine.HelmRelease, labels ...string) []string {
		return append([]string{"node", r.ID, "namespace", r.Namespace, "name", r.Name}, labels...)
	}
	b.family("sluice_helm_release_info", "gauge", "1, with what the release is made from and its status")
	for _, r := range m.Releases {
		b.sample("sluice_helm_release_info", 1, of(r, "chart", r.Chart, "version", r.ChartVersion, "app_version", r.AppVersion, "status", r.Status)...)
	}
	b.family("sluice_helm_release_state", "gauge", "1 for how the release stands to its declaration")
	for _, r := range m.Releases {
		if r.Release != "" {
			b.sample("sluice_helm_release_state", 1, of(r, "state", string(r.Release))...)
		}
	}
	b.family("sluice_helm_release_revision", "gauge", "number of the newest revision")
	for _, r := range m.Releases {
		b.sample("sluice_helm_release_revision", float64(r.Revision), of(r)...)
	}
	b.family("sluice_helm_operations_total", "counter", "operations on releases, by kind and result")
	counts := slices.SortedFunc(maps.Keys(m.Operations), func(x, y release.Count) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Result, y.Result))
	})
	for _, c := range counts {
		b.sample("sluice_helm_operations_total", float64(m.Operations[c]), "kind", c.Kind, "result", c.Result)
	}
}
