package releases

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

const twoMore = app + `---
{{ if .Values.service }}apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: {{ .Values.service }}, ports: [{port: 80}]}
{{ end }}---
{{ if .Values.elsewhere }}apiVersion: v1
kind: ConfigMap
metadata: {name: elsewhere, namespace: comes-with-it}
{{ end }}`

var anyOrder = cmp.Transformer("sorted", func(s []string) []string { return slices.Sorted(slices.Values(s)) })

// TestPlanOfRefused: a plan tells which changes the API server would refuse, and
// costs two requests for each that is tried.
func TestPlanOfRefused(t *testing.T) {
	t.Parallel()
	for _, clientSide := range []bool{true, false} {
		t.Run(fmt.Sprintf("client side %v", clientSide), func(t *testing.T) {
			t.Parallel()
			m, ns, sent := counted(t)
			ctx := t.Context()
			r := simple(t, ns, "one")
			r.Chart = chartOf(t, map[string]string{"templates/all.yaml": twoMore})
			r.Values = secret.New(`{"greeting": "one", "password": "hunter2"}`)
			if _, err := m.Upgrade(ctx, r, nil); err != nil {
				t.Fatal(err)
			}
			if clientSide {
				m.clientSide(t, r.Ref)
			}
			plan := func(values string) (told []string) {
				t.Helper()
				r.Values = secret.New(values)
				if _, err := m.Plan(ctx, r, func(c helm.Change) { told = append(told, c.Action+" "+c.Kind+" "+c.Problem) }); err != nil {
					t.Fatal(err)
				}
				return told
			}
			sent.take()
			got := plan(`{"greeting": "two", "password": "hunter2", "replicas": 1, "service": "ClusterIP", "elsewhere": true}`)
			if diff := cmp.Diff([]string{"update ConfigMap ", "update Deployment ", "create Service ", "create ConfigMap "}, got, anyOrder); diff != "" {
				t.Error(diff)
			}
			asked, _ := sent.take()
			asked = slices.DeleteFunc(asked, func(s string) bool { return !strings.Contains(s, ns+"/") || strings.Contains(s, "/secrets") })
			configMaps, deployments, services := "/api/v1/namespaces/"+ns+"/configmaps", "/apis/apps/v1/namespaces/"+ns+"/deployments", "/api/v1/namespaces/"+ns+"/services"
			want := []string{"1 GET " + configMaps + "/web", "1 PATCH " + configMaps + "/web", "1 GET " + deployments + "/app", "1 PATCH " + deployments + "/app", "1 GET " + services + "/web", "1 POST " + services}
			if !clientSide {
				want[5] = "1 PATCH " + services + "/web"
			}
			if diff := cmp.Diff(want, asked, anyOrder); diff != "" {
				t.Error(diff)
			}
			got = plan(`{"greeting": "one", "password": "hunter3", "replicas": "many", "service": "hunter3"}`)
			reason := "spec.replicas: expected numeric (int or float), got string"
			if clientSide {
				reason = "spec.replicas: cannot unmarshal string into int32"
			}
			refused := `Service "web" is invalid: spec.type: Unsupported value: "(redacted)": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`
			if clientSide {
				refused = "failed to create resource: " + refused
			}
			if diff := cmp.Diff([]string{"update ConfigMap ", "update Deployment " + reason, "create Service " + refused}, got, anyOrder); diff != "" {
				t.Error(diff)
			}
			if d, err := m.api(t).AppsV1().Deployments(ns).Get(ctx, "app", metav1.GetOptions{}); err != nil || *d.Spec.Replicas != 0 {
				t.Errorf("it has become %+v, %v", d, err)
			}
			if list, err := m.api(t).CoreV1().Services(ns).List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
				t.Errorf("services: %v, %v", list, err)
			}
		})
	}
}

// TestUndecided has the words of API servers.
func TestUndecided(t *testing.T) {
	for text, want := range map[string]bool{
		`configmaps "web" is forbidden: User "system:serviceaccount:ci:reader" cannot patch resource "configmaps" in API group "" in the namespace "shop"`: true,
		`admission webhook "policy.example.com" does not support dry run`:                                                                                  true,
		`pods "web" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4`:                                                 false,
		`pods "web" is forbidden: violates PodSecurity "restricted:latest": privileged (container "web" must not set securityContext.privileged=true)`:     false,
	} {
		if got := undecided(errors.New(text)); got != want {
			t.Errorf("%s: undecided %v", text, got)
		}
	}
}
