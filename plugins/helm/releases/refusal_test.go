package releases

import (
	"errors"
	"strings"
	"testing"

	release "helm.sh/helm/v4/pkg/release/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestRefusal(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tt := range []struct{ said, want string }{
		{"connection refused", "connection refused"},
		{
			`cannot patch "app" with kind Deployment: "" is invalid: patch: Invalid value: "{\"a\":\"` + long + `\"}": json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`,
			`Deployment/app: spec.replicas: cannot unmarshal string into int32`,
		},
		{
			`cannot patch "job" with kind Job: Job.batch "job" is invalid: spec.template: Invalid value: {"metadata":{"name":"` + long + `"}}: field is immutable`,
			`Job/job: Job.batch "job" is invalid: spec.template: field is immutable`,
		},
		{
			`Service "web" is invalid: spec.ports[0].port: Invalid value: -1: must be between 1 and 65535 && cannot patch "b" with kind Job: x: Invalid value: core.T{A:"` + long + `"}: no`,
			`Service "web" is invalid: spec.ports[0].port: Invalid value: -1: must be between 1 and 65535 && Job/b: x: no`,
		},
		{`Invalid value: "` + long, ``},
		{
			`failed to create resource: server-side apply failed for object demo/web /v1, Kind=Service: Service "web" is invalid: spec.type: Unsupported value: "x": supported values: "ClusterIP"`,
			`Service/web: Service "web" is invalid: spec.type: Unsupported value: "x": supported values: "ClusterIP"`,
		},
		{
			`server-side apply failed for object /web apps/v1, Kind=Deployment: failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string`,
			`Deployment/web: spec.replicas: expected numeric (int or float), got string`,
		},
	} {
		err := errors.New(tt.said)
		got := refusal(err)
		if got.Error() != tt.want {
			t.Errorf("%.80s...\n got %s\nwant %s", tt.said, got, tt.want)
		}
		if !errors.Is(got, err) {
			t.Error("the error itself is lost")
		}
	}
}

// clientSide makes the newest revision one that was applied as Helm 3 does.
func (m *Manager) clientSide(t *testing.T, ref helm.ReleaseRef) {
	t.Helper()
	o, err := m.begin(t.Context(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	last, err := o.last()
	if err != nil {
		t.Fatal(err)
	}
	last.ApplyMethod = string(release.ApplyMethodClientSideApply)
	if err := o.config.Releases.Update(last); err != nil {
		t.Fatal(err)
	}
}

const app = configMapTemplate + `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: {{ .Values.replicas | default 0 }}
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers: [{name: app, image: "example.com/app:1", env: [{name: PASSWORD, value: {{ .Values.password | quote }}}]}]
`

// TestRefused: what the API server says against a patch is told by object and
// field, without the live object, and so it is recorded.
func TestRefused(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ctx := t.Context()
	r := simple(t, ns, "one")
	r.Chart = chartOf(t, map[string]string{"templates/all.yaml": app})
	r.Values = secret.New(`{"greeting": "one", "password": "hunter2"}`)
	if _, err := m.Upgrade(ctx, r, nil); err != nil {
		t.Fatal(err)
	}
	m.clientSide(t, r.Ref)
	const want = "Deployment/app: spec.replicas: cannot unmarshal string into int32"
	r.Values = secret.New(`{"greeting": "two", "password": "hunter2", "replicas": "many"}`)
	if _, err := m.Upgrade(ctx, r, nil); err == nil || !strings.HasSuffix(err.Error(), "/web: "+want) {
		t.Errorf("got %v", err)
	}
	if rev, err := m.Status(ctx, r.Ref); err != nil || rev.Message != `Upgrade "web" failed: `+want {
		t.Errorf("recorded: %+v, %v", rev, err)
	}
}

// quoting is a Service that the API server refuses by quoting a secret.
const quoting = `apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: {{ .Values.password }}, ports: [{port: 80}]}
`

// TestNothingIsQuoted: no error, record or note shows a value that looks secret,
// that of an earlier revision included.
func TestNothingIsQuoted(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ctx := t.Context()
	r := simple(t, ns, "one")
	r.Chart = chartOf(t, map[string]string{"templates/all.yaml": quoting, "templates/NOTES.txt": "log in with {{ .Values.password }}"})
	r.Values = secret.New(`{"password": "ClusterIP"}`)
	if _, err := m.Upgrade(ctx, r, nil); err != nil {
		t.Fatal(err)
	}
	r.Values = secret.New(`{"password": "hunter2"}`)
	const refused = `Unsupported value: "(redacted)"`
	if _, err := m.Upgrade(ctx, r, nil); err == nil || !strings.Contains(err.Error(), refused) {
		t.Errorf("upgrade: %v", err)
	}
	_, err := m.Rollback(ctx, helm.Rollback{Ref: r.Ref, To: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Rollback(ctx, helm.Rollback{Ref: r.Ref, To: 2}, nil)
	if err == nil || !strings.Contains(err.Error(), refused) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("rollback: %v", err)
	}
	failed := 0
	if err := m.History(ctx, r.Ref, func(rev helm.Revision) {
		if rev.Status == "failed" {
			failed++
		}
		if strings.Contains(rev.Message, "hunter2") {
			t.Errorf("revision %d: %s", rev.Number, rev.Message)
		}
	}); err != nil || failed != 2 {
		t.Errorf("%d have failed, %v", failed, err)
	}
	content, err := m.Content(ctx, r.Ref, 2)
	if err != nil || content.Notes != "log in with (redacted)" {
		t.Errorf("notes: %q, %v", content.Notes, err)
	}
	records, err := m.api(t).CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{LabelSelector: "status=failed"})
	if err != nil || len(records.Items) != 2 {
		t.Fatalf("%d records, %v", len(records.Items), err)
	}
	o, err := m.begin(ctx, r.Ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records.Items {
		got, err := o.session.read(r.Ref, record.Name)
		if err != nil || strings.Contains(got.Info.Description, "hunter2") || !strings.Contains(got.Info.Description, refused) {
			t.Errorf("%s: %s, %v", record.Name, got.Info.Description, err)
		}
	}
}
