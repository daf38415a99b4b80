package resource

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/release"
)

// server is a real API server.
type server struct {
	t      *testing.T
	client *http.Client
	url    string
	token  string
}

// realServer is that of SLUICE_TEST_KUBECONFIG; without one the test is
// skipped.
func realServer(t *testing.T) *server {
	t.Helper()
	path := os.Getenv("SLUICE_TEST_KUBECONFIG")
	if path == "" {
		t.Skip("needs a cluster: set SLUICE_TEST_KUBECONFIG")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     string `yaml:"certificate-authority-data"`
			}
		}
		Users []struct{ User struct{ Token string } }
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	var ca []byte
	if err := json.Unmarshal([]byte(`"`+config.Clusters[0].Cluster.CA+`"`), &ca); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &server{t, &http.Client{Transport: transport, Timeout: 20 * time.Second}, config.Clusters[0].Cluster.Server, config.Users[0].User.Token}
}

// do sends v and returns the status code and the decoded answer.
func (s *server) do(method, path, content string, v any) (int, map[string]any) {
	s.t.Helper()
	var body io.Reader
	switch v := v.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(v)
	default:
		body = bytes.NewReader(encode(v))
	}
	req, err := http.NewRequest(method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", content)
	if method == http.MethodGet && content != "" {
		req.Header.Set("Accept", content)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	out := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, out
}

// must is do of what must succeed.
func (s *server) must(method, path, content string, v any) map[string]any {
	s.t.Helper()
	code, out := s.do(method, path, content, v)
	if code >= 300 {
		s.t.Fatalf("%s %s: %d %v", method, path, code, out["message"])
	}
	return out
}

const (
	applyYAML  = "application/apply-patch+yaml"
	mergePatch = "application/merge-patch+json"
	plainJSON  = "application/json"
)

// define applies definitions and waits until they are served.
func (s *server) define(text []byte) {
	s.t.Helper()
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var d map[string]any
		if err := dec.Decode(&d); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			s.t.Fatal(err)
		}
		one, err := yaml.Marshal(d)
		if err != nil {
			s.t.Fatal(err)
		}
		path := "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + d["metadata"].(map[string]any)["name"].(string)
		s.must(http.MethodPatch, path+"?fieldManager=sluice-test&force=true&fieldValidation=Strict", applyYAML, one)
		s.until("served: "+path, func() bool {
			status, _ := s.must(http.MethodGet, path, "", nil)["status"].(map[string]any)
			good := 0
			conditions, _ := status["conditions"].([]any)
			for _, c := range conditions {
				c := c.(map[string]any)
				if c["type"] == "NonStructuralSchema" {
					s.t.Fatalf("%v", c)
				}
				if c["status"] == "True" && (c["type"] == "Established" || c["type"] == "NamesAccepted") {
					good++
				}
			}
			return good == 2
		})
	}
}

// until asks again and again.
func (s *server) until(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("not %s", what)
		}
	}
}

func (s *server) namespace() string {
	s.t.Helper()
	name := "resource-" + strings.ToLower(rand.Text()[:8])
	s.must(http.MethodPost, "/api/v1/namespaces", plainJSON, map[string]any{"metadata": map[string]any{"name": name}})
	s.t.Cleanup(func() { s.do(http.MethodDelete, "/api/v1/namespaces/"+name, plainJSON, nil) })
	return name
}

// place is where the objects of o's kind are.
func place(o map[string]any, namespace string) string {
	return fmt.Sprintf("/apis/%s/namespaces/%s/%ss", o["apiVersion"], namespace, strings.ToLower(o["kind"].(string)))
}

// create creates an object, as kubectl create does, and returns its path.
func (s *server) create(o map[string]any, namespace string) string {
	s.t.Helper()
	o["metadata"].(map[string]any)["namespace"] = namespace
	at := place(o, namespace)
	s.until("served: "+at, func() bool {
		code, _ := s.do(http.MethodGet, at, "", nil)
		return code == http.StatusOK
	})
	s.must(http.MethodPost, at+"?fieldValidation=Strict", plainJSON, o)
	return at + "/" + o["metadata"].(map[string]any)["name"].(string)
}

// TestDefinitionsOnARealServer: it takes the definitions, every field, every
// status, and keeps it all.
func TestDefinitionsOnARealServer(t *testing.T) {
	s := realServer(t)
	s.define(CRDs(true))
	namespace := s.namespace()
	for i, o := range everything(t) {
		o["metadata"].(map[string]any)["name"] = fmt.Sprintf("r%d", i)
		at := s.create(o, namespace)
		got := s.must(http.MethodGet, at, "", nil)
		if diff := cmp.Diff(normal(t, o["spec"]), got["spec"]); diff != "" {
			t.Errorf("%s: -sent +kept:\n%s", at, diff)
		}
		for _, phase := range phaseWords() {
			patch := map[string]any{"status": map[string]any{"phase": phase}}
			s.must(http.MethodPatch, at+"/status?fieldValidation=Strict", mergePatch, patch)
		}
		if code, _ := s.do(http.MethodPatch, at+"/status", mergePatch, map[string]any{"status": map[string]any{"phase": "Unlocking"}}); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: a phase that there is not: %d", at, code)
		}
		s.roundTrip(at)
	}
	s.table(namespace)
}

// roundTrip writes a status as the daemon does, and reads it back.
func (s *server) roundTrip(at string) {
	s.t.Helper()
	before := encode(s.must(http.MethodGet, at, "", nil))
	o := Options{Charts: Charts{Source: "source.git.a"}, CrossNamespace: true}
	r, err := Parse(before, o)
	if err != nil {
		s.t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	after := r.Progressed(r.Status, release.Progress{Phase: release.PhaseRolledBack}, now)
	after = r.Reported(after, release.Report{
		State: release.RolledBack, Err: errors.New("the hook failed"), Warnings: []string{"w"},
		Chart: release.ChartInfo{Name: "a", Version: "1.0.0", Digest: "sha256:a", Revision: "abc"},
	}, now)
	patch, changed := Patch(r.Status, after)
	if !changed {
		s.t.Fatal("nothing to write")
	}
	text := encode(s.must(http.MethodPatch, at+"/status?fieldValidation=Strict", mergePatch, map[string]any{"status": patch}))
	again, err := Parse(text, o)
	if err != nil {
		s.t.Fatal(err)
	}
	if patch, changed := Patch(after, again.Status); changed {
		s.t.Errorf("%s: the status came back with the difference %s", at, patch)
	}
	if again.Declared != r.Declared {
		s.t.Errorf("%s: writing the status changed what is declared", at)
	}
}

// table checks what kubectl get shows.
func (s *server) table(namespace string) {
	s.t.Helper()
	got := s.must(http.MethodGet, "/apis/helm.fluxcd.io/v1/namespaces/"+namespace+"/helmreleases", "application/json;as=Table;v=v1;g=meta.k8s.io", nil)
	var columns []string
	for _, c := range got["columnDefinitions"].([]any) {
		columns = append(columns, c.(map[string]any)["name"].(string))
	}
	if want := []string{"Name", "Release", "Phase", "ReleaseStatus", "Message", "Age"}; !slices.Equal(columns, want) {
		s.t.Errorf("columns %q", columns)
	}
	cells := got["rows"].([]any)[0].(map[string]any)["cells"].([]any)
	if cells[1] != "a" || cells[2] != "RolledBack" || cells[4] != "the hook failed" {
		s.t.Errorf("cells %q", cells)
	}
}

// TestDefinitionsOverOlderOnes: what a definition without a schema has let in,
// and what somebody else wrote, stays, and can be changed.
func TestDefinitionsOverOlderOnes(t *testing.T) {
	s := realServer(t)
	kind := Kinds()[1]
	kind.Group = strings.ToLower(rand.Text()[:8]) + ".example.com"
	ours := define(kind, names{Plural: "helmreleases", Singular: "helmrelease"}, specSchema(true))
	older := define(kind, ours.Spec.Names, nil)
	older.Spec.Versions[0].Subresources = nil
	older.Spec.Versions[0].Schema.Root = &schema{Type: "object", Keep: true}
	s.define(yamlOf(t, older))
	t.Cleanup(func() {
		s.do(http.MethodDelete, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+ours.Metadata.Name, plainJSON, nil)
	})
	var odd map[string]any
	err := json.Unmarshal([]byte(`{"kind": "HelmRelease", "metadata": {"name": "odd"},
		"spec": {"chart": {"git": "g", "unheardOf": {"a": 1}}, "values": null, "releaseName": null, "timeout": null, "test": null, "mine": [1]},
		"status": {"releaseStatus": "DEPLOYED", "other": true, "conditions": [{"type": "Released", "status": "True", "lastUpdateTime": null}]}}`), &odd)
	if err != nil {
		t.Fatal(err)
	}
	odd["apiVersion"] = kind.Group + "/" + kind.Version
	at := s.create(odd, s.namespace())
	before := s.must(http.MethodGet, at, "", nil)

	s.define(yamlOf(t, ours))
	s.until("served with a status", func() bool {
		code, _ := s.do(http.MethodGet, at+"/status", "", nil)
		return code == http.StatusOK
	})
	after := s.must(http.MethodGet, at, "", nil)
	if diff := cmp.Diff([]any{before["spec"], before["status"]}, []any{after["spec"], after["status"]}); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	s.must(http.MethodPatch, at+"/status", mergePatch, map[string]any{"status": map[string]any{"phase": "Failed"}})
	s.must(http.MethodPatch, at, mergePatch, map[string]any{"spec": map[string]any{"releaseName": "a"}})
}

func yamlOf(t *testing.T, d definition) []byte {
	t.Helper()
	text, err := yaml.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// normal is v with the types that JSON has.
func normal(t *testing.T, v any) any {
	t.Helper()
	var out any
	if err := json.Unmarshal(encode(v), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
