package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReleaseValues composes values from each place there is, of a block and of
// a HelmRelease, follows their changes, and refuses what the chart's schema does
// not allow, with its place.
func TestReleaseValues(t *testing.T) {
	t.Parallel()
	s, r := newValuesSite(t)
	s.start()
	s.shows("block", `{"chart":"file","config":"map","later":"values","list":[3],"secret":"hush","source":"file","url":"web","values":"inline"}`)
	s.shows("resource", `{"chart":"file","config":"map","later":"values","list":[3],"secret":"hush","url":"web","values":"inline"}`)
	s.neverTold("hush")

	r.commit(map[string]string{"values/source.yaml": "source: changed\nlater: source\nlist: [2, 2]\n"})
	s.shows("block", `{"chart":"file","config":"map","later":"values","list":[3],"secret":"hush","source":"changed","url":"web","values":"inline"}`)
	s.must("kubectl", "-n", s.prefix, "patch", "configmap", "values", "-p", `{"data":{"values.yaml":"config: changed"}}`)
	s.sluice("sync", "helmrelease.c/"+s.prefix+"/resource") // looks for itself at its interval, of minutes
	for _, name := range []string{"block", "resource"} {
		s.waitFor(name, "upgraded", func(listed) bool {
			_, values := s.shown(s.prefix, name)
			return strings.Contains(values, `"config":"changed"`)
		})
	}
	if got := s.release("resource"); got.Revision != 2 {
		t.Errorf("one change of values made %+v", got)
	}
	s.foreign()
	s.refused(r)
	s.large(r)
}

// valuesChart has a file of values for production, and a schema.
var valuesChart = newChart("app", "1.0.0", map[string]string{
	"values.yaml":      "later: chart\nlist: [1, 2, 3]\n",
	"values-prod.yaml": "chart: file\nlater: chart_file\n",
	"values.schema.json": `{"type": "object", "properties": {
  "replicas": {"type": "integer"},
  "source": {"type": "string"},
  "blob": {"type": "object"}
}}`,
	"templates/config.yaml": strings.Replace(showValues, ".Values | toJson", `omit .Values "blob" | toJson`, 1),
})

func newValuesSite(t *testing.T) (*site, *repo) {
	t.Helper()
	w := newWorld(t)
	w.definitions()
	s := &site{world: w}
	applier := w.only("", "-other")
	const fromWeb = "url: web\nlater: url\n"
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(fromWeb)) }))
	t.Cleanup(web.Close)
	sum := sha256.Sum256([]byte(fromWeb))
	files := valuesChart.under("app")
	files["values/source.yaml"] = "source: file\nlater: source\nlist: [2, 2]\n"
	r := w.repo("charts", files)
	r.git("push", "-q", "origin", "HEAD:master")
	w.apply(
		configMap("", "values", ""),
		"apiVersion: v1\nkind: Secret\nmetadata: {name: values, namespace: NS}\nstringData: {of: \"secret: hush\\nlater: secret\\n\"}\n",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: theirs, namespace: NS-other}\nstringData: {values.yaml: \"theirs: yes\"}\n",
		helmRelease("", "resource", fmt.Sprintf(`
releaseName: resource
chart: {git: %q, ref: main, path: app}
valuesFrom:
- configMapKeyRef: {name: values}
- secretKeyRef: {name: values, key: of}
- chartFileRef: {path: values-prod.yaml}
- externalSourceRef: {url: %q}
- configMapKeyRef: {name: nothing, optional: true}
values: {values: inline, later: values, list: [3]}`, r.url, web.URL)))
	w.must("kubectl", "-n", w.prefix, "patch", "configmap", "values", "-p", `{"data":{"values.yaml":"config: map\nlater: map\n"}}`)
	s.config = w.config(applier + fmt.Sprintf(`
helm "helm" "c" { local_urls = true }
source "git" "charts" {
  url      = %q
  branch   = "main"
  interval = "1s"
}
release "block" {
  namespace = "NS"
  interval  = "1s"
  chart {
    source = source.git.charts
    path   = "app"
  }
  values_from { config_map = "values" }
  values_from {
    secret = "values"
    key    = "of"
  }
  values_from { chart_file = "values-prod.yaml" }
  values_from {
    source = source.git.charts
    path   = "values/source.yaml"
  }
  values_from {
    url    = %q
    sha256 = %q
  }
  values_from {
    config_map = "nothing"
    optional   = true
  }
  values = {
    values = "inline"
    later  = "values"
    list   = [3]
  }
}
`, r.url, web.URL, hex.EncodeToString(sum[:])))
	return s, r
}

// shows waits until a release shows the values.
func (s *site) shows(name, want string) {
	s.t.Helper()
	var got string
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s shows %s", name, got)
		}
	}()
	s.waitFor(name, "made with "+want, func(listed) bool {
		_, got = s.shown(s.prefix, name)
		return got == want
	})
	s.waitRelease(name, "ready in_sync")
}

// foreign: a HelmRelease does not get at the Secrets of other namespaces.
func (s *site) foreign() {
	s.t.Helper()
	s.apply(helmRelease("", "thief", "releaseName: thief\nchart: {git: \""+s.gitURL+"/charts.git\", ref: main, path: app}\nvaluesFrom:\n- secretKeyRef: {name: theirs, namespace: NS-other}"))
	s.eventually(time.Minute, "the resource is refused", func() bool {
		return strings.Contains(s.resource(s.prefix, "hr/thief").condition("Released"), "cross_namespace")
	})
	if s.exists(s.prefix, "configmap/thief") {
		s.t.Error("it was installed all the same")
	}
	s.must("kubectl", "-n", s.prefix, "delete", "hr", "thief", "--timeout", "1m")
}

// refused: values that the schema does not allow are told with their place, and
// change nothing.
func (s *site) refused(r *repo) {
	s.t.Helper()
	before := s.release("block").Revision
	r.commit(map[string]string{"values/source.yaml": "# of production\nreplicas: many\nsource: changed\n"})
	got := s.waitFor("block", "refused", func(l listed) bool { return l.State == "failed" })
	if !strings.Contains(got.Reason, "values/source.yaml:2") || got.Revision != before {
		s.t.Errorf("values/source.yaml:2 is wrong: %+v", got)
	}
	text, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	r.commit(map[string]string{"values/source.yaml": "source: fine\n"})
	s.waitRelease("block", "ready in_sync")
	broken := strings.Replace(string(text), `later  = "values"`, `source = 7`, 1)
	if err := os.WriteFile(s.config, []byte(broken), 0o600); err != nil {
		s.t.Fatal(err)
	}
	line := 1 + strings.Count(broken[:strings.Index(broken, "source = 7")], "\n")
	got = s.waitFor("block", "refused", func(l listed) bool { return l.State == "failed" })
	if want := fmt.Sprintf("%s:%d", filepath.Base(s.config), line); !strings.Contains(got.Reason, want) {
		s.t.Errorf("the error should name %s: %s", want, got.Reason)
	}
	if err := os.WriteFile(s.config, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.waitRelease("block", "ready in_sync")
}

// large: a values file of 5 MB.
func (s *site) large(r *repo) {
	s.t.Helper()
	var b strings.Builder
	b.WriteString("source: large\nblob:\n")
	for i := 0; b.Len() < 5<<20; i++ {
		fmt.Fprintf(&b, "  key-%06d: %s\n", i, strings.Repeat("lorem ipsum ", 8))
	}
	r.commit(map[string]string{"values/source.yaml": b.String()})
	s.waitFor("block", "made with 5 MB of values", func(listed) bool {
		_, got := s.shown(s.prefix, "block")
		return strings.Contains(got, `"source":"large"`)
	})
	s.waitRelease("block", "ready in_sync")
}
