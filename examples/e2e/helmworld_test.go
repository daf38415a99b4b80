package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// namespaces makes namespaces of the test; they are called NS with a suffix.
func (w *world) namespaces(suffixes ...string) {
	w.t.Helper()
	for _, s := range suffixes {
		w.must("kubectl", "create", "namespace", w.prefix+s)
	}
}

// within is an applier that keeps to namespaces: NS with each of suffixes.
// Whatever else goes on in the cluster is not its business.
func within(suffixes ...string) string {
	var list []string
	for _, s := range suffixes {
		list = append(list, fmt.Sprintf("%q", "NS"+s))
	}
	return fmt.Sprintf("applier \"kubernetes\" \"c\" {\n  namespaces = [%s]\n}\n", strings.Join(list, ", "))
}

// followed is an applier as of within, whose HelmReleases are followed.
func followed(suffixes ...string) string {
	return within(suffixes...) + "helm \"helm\" \"c\" {}\n"
}

// source is a git source "app" of r that is looked at each second.
func (r *repo) source() string {
	return fmt.Sprintf("source \"git\" \"app\" {\n  url = %q\n  branch = \"main\"\n  interval = \"1s\"\n}\n", r.url)
}

// releaseBlock declares a release in namespace NS of the chart of that name
// below charts/ in source "app", with more arguments.
func releaseBlock(name, chart, more string) string {
	return fmt.Sprintf(`release %q {
  namespace = "NS"
  chart {
    source = source.git.app
    path   = "charts/%s"
  }
  %s
}
`, name, chart, more)
}

// gitRelease is a HelmRelease in NS, of a chart below charts/ of a repository.
func (r *repo) gitRelease(name, chart, more string) string {
	spec := fmt.Sprintf("releaseName: %s\nchart:\n  git: %s\n  ref: main\n  path: charts/%s\n%s", name, r.url, chart, more)
	return helmRelease("", name, spec)
}

// webChart is a small chart: a ConfigMap and a Service with the release's name. It
// has more files.
func webChart(name, version string, more map[string]string) chart {
	files := map[string]string{"templates/config.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {key: {{ .Values.greeting | quote }}, version: {{ .Chart.Version | quote }}}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80}]}
`}
	maps.Copy(files, more)
	return newChart(name, version, files)
}

// trees are charts as the files of a repository, below charts/.
func trees(charts ...chart) map[string]string {
	all := map[string]string{}
	for _, c := range charts {
		maps.Copy(all, c.under("charts/"+c.name))
	}
	return all
}

// files puts sets of files together.
func files(sets ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, s := range sets {
		maps.Copy(all, s)
	}
	return all
}

// value is what a ConfigMap in NS has under "key"; empty if it is not there.
func (w *world) value(name string) string {
	w.t.Helper()
	return w.run("kubectl", "-n", w.prefix, "get", "configmap", name, "-o", "jsonpath={.data.key}").out
}

// releases are those that the daemon knows of, by name; nil without a daemon.
func (w *world) releases(config string) map[string]listed {
	w.t.Helper()
	var answer []listed
	o := w.run("sluice", "helm", "list", "--config", config, "-o", "json")
	if o.code == 1 || json.Unmarshal([]byte(o.out), &answer) != nil {
		return nil
	}
	all := map[string]listed{}
	for _, r := range answer {
		all[r.Name] = r
	}
	return all
}

// endlessHook is a Job that never completes, as a hook of a release.
func endlessHook(hook string) string {
	return fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-%[1]s
  annotations: {"helm.sh/hook": %[1]s}
spec:
  suspend: true # never starts
  template:
    spec:
      restartPolicy: Never
      containers: [{name: wait, image: example.com/wait:1}]
`, hook)
}

// events are the texts of the daemon's events of a node that contain text.
func (w *world) events(config, node, text string) (all []string) {
	w.t.Helper()
	for line := range strings.Lines(w.must("sluice", "events", "--config", config, "--limit", "1000", "-o", "json")) {
		var e struct{ Node, Message string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.t.Fatalf("%v: %s", err, line)
		}
		if e.Node == node && strings.Contains(line, text) {
			all = append(all, e.Message)
		}
	}
	return all
}

// badIfTold is a template of an object that the API server refuses, if the value
// "bad" says so.
const badIfTold = `{{ if .Values.bad }}
apiVersion: v1
kind: Service
metadata: {name: bad}
spec: {ports: [{port: 99999999}]}
{{ end }}
`
