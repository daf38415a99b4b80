package mask

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValues(t *testing.T) {
	tests := []struct {
		name     string
		in       string
		pointers []string
		want     string
		hidden   int
	}{
		{"nothing", `{"image":{"tag":"1.2","port":80},"on":true}`, nil, `{"image":{"port":80,"tag":"1.2"},"on":true}`, 0},
		{"sounding keys", `{"dbPassword":"x","db-password":"y","API_KEY":"z","pin":1,"adminToken":7}`, nil,
			`{"API_KEY":"(redacted)","adminToken":"(redacted)","db-password":"(redacted)","dbPassword":"(redacted)","pin":1}`, 4},
		{"below a sounding key", `{"secrets":{"a":"x","on":false,"none":null,"empty":"","list":["y",{"z":1}]}}`, nil,
			`{"secrets":{"a":"(redacted)","empty":"","list":["(redacted)",{"z":"(redacted)"}],"none":null,"on":false}}`, 3},
		{"names of secrets", `{"existingSecret":"s","secretName":"s","secretKeyRef":{"key":"k"},"imagePullSecrets":[{"name":"p"}],"tokenTTL":3}`, nil,
			`{"existingSecret":"s","imagePullSecrets":[{"name":"p"}],"secretKeyRef":{"key":"k"},"secretName":"s","tokenTTL":3}`, 0},
		{"variables", `{"env":[{"name":"DB_PASSWORD","value":"x"},{"name":"PORT","value":"80"}]}`, nil,
			`{"env":[{"name":"DB_PASSWORD","value":"(redacted)"},{"name":"PORT","value":"80"}]}`, 1},
		{"pointers", `{"a":{"b/c":"x","d":"y"},"e":[1,2]}`, []string{"/a/b~1c", "/e/1"}, `{"a":{"b/c":"(redacted)","d":"y"},"e":[1,"(redacted)"]}`, 2},
		{"all", `{"a":"x"}`, []string{""}, `{"a":"(redacted)"}`, 1},
		{"urls", `{"a":"postgres://ann:p@ss@db/x?y=1","b":"https://ann@h/","c":"see https://h/a:b@c"}`, nil,
			`{"a":"postgres://ann:(redacted)@db/x?y=1","b":"https://ann@h/","c":"see https://h/a:b@c"}`, 1},
		{"private key", `{"tls":"-----BEGIN RSA PRIVATE KEY-----\nx"}`, nil, `{"tls":"(redacted)"}`, 1},
		{"numbers stay as written", `{"a":12345678901234567890,"b":1.50}`, nil, `{"a":12345678901234567890,"b":1.50}`, 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, hidden, err := Values([]byte(tc.in), tc.pointers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" || hidden != tc.hidden {
				t.Errorf("%d hidden, want %d; %s", hidden, tc.hidden, diff)
			}
		})
	}
}

func TestValuesThatAreNone(t *testing.T) {
	_, _, err := Values([]byte(`{"password": hunter2}`), nil)
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("err = %v", err)
	}
}

func TestManifest(t *testing.T) {
	const in = `# Source: a/templates/all.yaml
apiVersion: v1
kind: Secret
metadata: {name: a}
data: {user: YW5u}
stringData:
  password: &p |-
    two
    lines
---
apiVersion: v1
kind: ConfigMap
data: {user: ann}
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Secret
    data: broken
  - apiVersion: v1
    kind: Secret
    metadata: {name: empty}
    data: {}
---
apiVersion: acme.example/v1
kind: Secret
data: {a: b}
`
	const want = `# Source: a/templates/all.yaml
apiVersion: v1
kind: Secret
metadata: {name: a}
data: {user: (redacted)}
stringData:
  password: &p (redacted)
---
apiVersion: v1
kind: ConfigMap
data: {user: ann}
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Secret
    data: (redacted)
  - apiVersion: v1
    kind: Secret
    metadata: {name: empty}
    data: {}
---
apiVersion: acme.example/v1
kind: Secret
data: {a: b}
`
	var out strings.Builder
	n, err := Manifest(&out, strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" || n != 2 {
		t.Errorf("%d Secrets; %s", n, diff)
	}
	if n, err := Manifest(&out, strings.NewReader("")); n != 0 || err != nil {
		t.Errorf("of nothing: %d, %v", n, err)
	}
	if _, err := Manifest(&out, strings.NewReader("a: [")); err == nil {
		t.Error("broken YAML is no error")
	}
}

// FuzzValues: whatever the values are, what is hidden is hidden, and the rest is
// JSON of the same shape.
func FuzzValues(f *testing.F) {
	f.Add(`{"password":"hunter22","a":{"b":["hunter22"]}}`, "/a/b")
	f.Add(`{"env":[{"name":"TOKEN","value":"hunter22"}],"u":"https://a:hunter22@h"}`, "/x")
	f.Fuzz(func(t *testing.T, values, pointer string) {
		got, hidden, err := Values([]byte(values), []string{pointer})
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Errorf("%s is no JSON", got)
		}
		again, more, err := Values(got, []string{pointer})
		if err != nil || more > hidden {
			t.Errorf("%s hides more than %s, which hid %d: %d, %v", again, got, hidden, more, err)
		}
	})
}
