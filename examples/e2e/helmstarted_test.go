package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFluxGetStarted runs the repository that Flux v1 users started with, as it
// is: its charts are in a git repository of a forge and in chart repositories,
// as is what they depend on. First none of them can be reached, then mirrors
// stand in for all of them. The names are fixed, so it has a cluster of its own.
func TestFluxGetStarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.realRepository("flux-get-started", ".")
	r.git("push", "-q", "origin", "HEAD:master")
	w.ownCluster()
	s := &site{world: w}
	s.config = w.config(startedConfig(r, ""))
	s.start()
	s.withoutDefinitions()
	w.definitions()
	s.sluice("sync", w.prefix)
	s.unreachable()
	charts := w.chartServer(startedCharts()...)
	w.config(startedConfig(r, fmt.Sprintf(`
mirror "ssh://git@github.com/fluxcd" { to = %q }
mirror "https://kubernetes-charts.storage.googleapis.com" {
  to = %q
  ca = file(%q)
}
mirror "https://charts.helm.sh/stable" {
  to = %[2]q
  ca = file(%[3]q)
}
`, w.gitURL, charts.URL, charts.CA)))
	s.started()
	s.startedImages()
	s.startedCommands()
}

// TestFluxGetStartedOfRegistry has the charts of the same repository in an OCI
// registry, which stands in for the chart repositories.
func TestFluxGetStartedOfRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.realRepository("flux-get-started", ".")
	r.git("push", "-q", "origin", "HEAD:master")
	w.ownCluster()
	w.definitions()
	reg := w.registry()
	for _, c := range startedCharts() {
		reg.pushChart("charts/"+c.name, c)
	}
	s := &site{world: w}
	s.config = w.config(startedConfig(r, fmt.Sprintf(`
mirror "ssh://git@github.com/fluxcd" { to = %q }
mirror "https://kubernetes-charts.storage.googleapis.com" { to = "oci://%s/charts" }
mirror "https://charts.helm.sh/stable" { to = "oci://%[2]s/charts" }
`, w.gitURL, reg.Address)))
	s.start()
	s.started()
}

// startedCharts are what the repository's releases need of chart repositories.
func startedCharts() []chart {
	return []chart{server("mongodb", "7.6.3"), server("redis", "10.3.1"), server("mariadb", "7.3.14"), server("mariadb", "8.0.0")}
}

// startedConfig syncs the repository, with more blocks.
func startedConfig(r *repo, more string) string {
	return oneSync(r, "") + "images { scan = \"none\" }\napplier \"kubernetes\" \"c\" {}\nhelm \"helm\" \"c\" {}\n" + more
}

// server is a chart of a deployment and a Secret with the password.
func server(name, version string) chart {
	return newChart(name, version, map[string]string{
		"values.yaml":           "image: {repository: nobody/sets, tag: these}\npassword: \"\"\nreplicas: 1\n",
		"templates/config.yaml": "",
		"templates/secret.yaml": `apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}-{{ .Chart.Name }}
stringData:
  ` + name + `-password: {{ .Values.password | quote }}
`,
		"templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-{{ .Chart.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {app: {{ .Chart.Name }}}
  template:
    metadata:
      labels: {app: {{ .Chart.Name }}}
    spec:
      containers:
      - name: {{ .Chart.Name }}
        image: {{ .Values.image.repository }}:{{ .Values.image.tag }}
`,
	})
}

// withoutDefinitions: what the cluster does not know is named with file:line
// and what to do, and the rest is applied.
func (s *site) withoutDefinitions() {
	s.t.Helper()
	o := s.try("sync", s.prefix, "--wait")
	all := o.out + o.errOut
	if o.code == 0 {
		s.t.Errorf("a sync of objects that cannot be applied succeeds\n%s", all)
	}
	for _, want := range []string{
		"releases/ghost.yaml:2: demo:HelmRelease.helm.fluxcd.io/ghost: no CRD installed for HelmRelease helm.fluxcd.io/v1",
		"sluice install --crds",
		"releases/mongodb.yaml:2: ",
		"workloads/podinfo-hpa.yaml:1: demo:HorizontalPodAutoscaler.autoscaling/podinfo: HorizontalPodAutoscaler autoscaling/v2beta1 is not served; the cluster serves autoscaling/v2, autoscaling/v1",
	} {
		if !strings.Contains(all, want) {
			s.t.Errorf("the report lacks %q\n%s", want, all)
		}
	}
	if strings.Contains(all, "charts/") {
		s.t.Errorf("a Helm chart was read as manifests:\n%s", all)
	}
	if !s.exists("demo", "deployment/podinfo") {
		s.t.Errorf("the objects that the cluster knows were held back\n%s", all)
	}
}

// far is the URL that each release gets its chart from.
var far = map[string]string{
	"ghost":   "ssh://git@github.com/fluxcd/flux-get-started",
	"mongodb": "https://kubernetes-charts.storage.googleapis.com/",
	"redis":   "https://kubernetes-charts.storage.googleapis.com/",
}

// unreachable: each release says which URL could not be reached, wherever one
// looks, and holds up nothing else.
func (s *site) unreachable() {
	s.t.Helper()
	for name, url := range far {
		object := "hr/" + name
		s.eventually(time.Minute, object+" tells of "+url, func() bool {
			r := s.resource("demo", object)
			return r.Status.Phase == "ChartFetchFailed" && strings.Contains(r.condition("ChartFetched"), url)
		})
		if why := s.sluice("why", "helmrelease.c/demo/"+name); !strings.Contains(why, url) {
			s.t.Errorf("why does not name %s:\n%s", url, why)
		}
		if state := s.state(s.config, "helmrelease.c/demo/"+name); !strings.Contains(state, url) {
			s.t.Errorf("status does not name %s: %s", url, state)
		}
		if events := s.kubernetesEvents("demo", object); !slices.ContainsFunc(events, func(e string) bool {
			return strings.HasPrefix(e, "Warning FailedReleaseSync: ") && strings.Contains(e, url)
		}) {
			s.t.Errorf("the events of %s: %q", object, events)
		}
	}
	s.must("kubectl", "-n", "demo", "wait", "--for", "condition=Available", "deployment/podinfo", "--timeout", "1m")
}

// started: all three are installed, and their resources say so.
func (s *site) started() {
	s.t.Helper()
	for name, chart := range map[string]string{"ghost": "ghost-9.0.4", "mongodb": "mongodb-7.6.3", "redis": "redis-10.3.1"} {
		s.waitRelease("helmrelease.c/demo/"+name, "ready in_sync")
		s.eventually(time.Minute, name+" is deployed", func() bool {
			return s.resource("demo", "hr/"+name).Status.Phase == "Succeeded"
		})
		r := s.resource("demo", "hr/"+name)
		if st := r.Status; st.ReleaseName != name || st.ReleaseStatus != "deployed" || st.ObservedGeneration != r.Metadata.Generation || st.HelmRevision != 1 || st.Chart != chart || !strings.HasPrefix(st.ChartDigest, "sha256:") {
			s.t.Errorf("status of %s: %+v", name, st)
		}
		for _, kind := range []string{"ChartFetched", "Deployed", "Released"} {
			if got := r.condition(kind); !strings.HasPrefix(got, "True ") {
				s.t.Errorf("condition of %s: %s", name, got)
			}
		}
		if events := s.kubernetesEvents("demo", "hr/"+name); !slices.ContainsFunc(events, func(e string) bool { return strings.HasPrefix(e, "Normal ReleaseSynced: ") }) {
			s.t.Errorf("the events of %s: %q", name, events)
		}
		if !slices.Contains(r.Metadata.Finalizers, "sluice.dev/release") {
			s.t.Errorf("%s has the finalizers %q", name, r.Metadata.Finalizers)
		}
	}
	if got := s.must("kubectl", "-n", "demo", "get", "hr"); !strings.Contains(got, "Succeeded") || !strings.Contains(got, "deployed") {
		s.t.Errorf("kubectl shows\n%s", got)
	}
	for _, deployment := range []string{"redis-redis", "mongodb-mongodb", "ghost-mariadb"} {
		s.must("kubectl", "-n", "demo", "wait", "--for", "condition=Available", "deployment/"+deployment, "--timeout", "1m")
	}
	if got := s.must("kubectl", "-n", "demo", "get", "secret", "redis-redis", "-o", `go-template={{index .data "redis-password" | base64decode}}`); got != "admin" {
		s.t.Errorf("redis has the password %q, want that of the Secret of values", got)
	}
	if !s.exists("demo", "service/ghost") {
		s.t.Error("the chart of the forge was not installed")
	}
}

// startedImages: the images of the values are known.
func (s *site) startedImages() {
	s.t.Helper()
	list := s.sluice("workloads", "-n", "demo")
	for _, want := range []string{"demo:helmrelease/ghost", "bitnami/ghost:3.1.1-debian-9-r0", "bitnami/mongodb:4.0.13", "bitnami/redis:5.0.7", "locked"} {
		if !strings.Contains(list, want) {
			s.t.Errorf("workloads lack %q:\n%s", want, list)
		}
	}
	for _, c := range s.images("-n", "demo", "helmrelease/redis") {
		if c.Image != "bitnami/redis:5.0.7" || c.Container != "chart-image" {
			s.t.Errorf("images of redis: %+v", c)
		}
	}
}

// startedCommands: what people see of the releases.
func (s *site) startedCommands() {
	s.t.Helper()
	list := s.sluice("helm", "list", "-n", "demo")
	for _, want := range []string{"ghost", "ghost-9.0.4", "mongodb-7.6.3", "redis-10.3.1", "deployed"} {
		if !strings.Contains(list, want) {
			s.t.Errorf("helm list lacks %q:\n%s", want, list)
		}
	}
	s.sluice("helm", "list", "--check")
	if got := s.sluice("helm", "status", "demo/redis"); !strings.Contains(got, "helmrelease") || !strings.Contains(got, "redis-10.3.1") {
		s.t.Errorf("helm status:\n%s", got)
	}
	if got := s.sluice("helm", "values", "demo/redis"); strings.Contains(got, "admin") || !strings.Contains(got, "tag: 5.0.7") {
		s.t.Errorf("helm values:\n%s", got)
	}
	if o := s.try("plan"); strings.Contains(o.out, "release") && strings.Contains(o.out, "to install") {
		s.t.Errorf("a plan of what is there:\n%s", o.out)
	}
}
