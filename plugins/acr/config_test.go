package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		config values
		want   []string // "severity path: summary", each a prefix
	}{
		{"nothing", values{}, nil},
		{"secret", values{"tenant_id": "contoso.onmicrosoft.com", "client_id": "22222222-2222-4222-8222-222222222222", "client_secret": "s3cret"}, nil},
		{"certificate", values{"certificate_file": "/c.pfx", "certificate_password": "s3cret"}, nil},
		{"private cloud", values{"authority_host": "https://login.corp/", "audience": "https://management.corp", "endpoint": "https://proxy.corp/azure", "ca_file": "/ca.pem", "hosts": []string{"registry.corp:5000"}}, nil},
		{"audience that is no host", values{"audience": "api://22222222-2222-4222-8222-222222222222"}, nil},
		{"proxy on this machine", values{"endpoint": "http://127.0.0.1:8080"}, nil},

		{"unknown identity", values{"identity": "cli"}, []string{"error identity: "}},
		{"two ways", values{"client_secret": "s3cret", "token_file": "/t"}, []string{"error token_file: client_secret and token_file exclude"}},
		{"three ways", values{"client_secret": "s3cret", "certificate_file": "/c", "token_file": "/t"},
			[]string{"error certificate_file: client_secret and certificate_file exclude", "error token_file: client_secret and token_file exclude"}},
		{"secret of a managed identity", values{"identity": "managed_identity", "client_secret": "s3cret"}, []string{"error client_secret: client_secret is for service_principal, and identity is managed_identity"}},
		{"file of a service principal", values{"identity": "service_principal", "token_file": "/t"}, []string{"error token_file: token_file is for workload_identity"}},
		{"password alone", values{"certificate_password": "s3cret"}, []string{"error certificate_password: certificate_password needs certificate_file"}},
		{"path as tenant", values{"tenant_id": "a/../b"}, []string{`error tenant_id: "a/../b" is neither`}},
		{"path as client", values{"client_id": "a b"}, []string{"error client_id: "}},
		{"http authority", values{"authority_host": "http://login.corp"}, []string{"error authority_host: authority_host is not an https URL"}},
		{"password in a url", values{"authority_host": "https://u:s3cret@login.corp"}, []string{"error authority_host: authority_host is not an https URL"}},
		{"audience", values{"audience": "registry"}, []string{"error audience: "}},
		{"endpoint", values{"endpoint": "ftp://proxy.corp"}, []string{"error endpoint: endpoint is not an http"}},
		{"query in the endpoint", values{"endpoint": "https://proxy.corp?x=y"}, []string{"error endpoint: "}},
		{"clear text", values{"endpoint": "http://proxy.corp"}, []string{"error endpoint: the tokens would go over the network in clear text"}},
		{"url as host", values{"hosts": []string{"ok.corp", "https://registry.corp"}}, []string{"error hosts[1]: "}},
		{"timeout", values{"timeout": "10ms"}, []string{"error timeout: timeout is shorter than a second"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := json.Marshal(c.config)
			if err != nil {
				t.Fatal(err)
			}
			var config Config
			var got []string
			for i, d := range schema.Decode(text, &config) {
				line := d.Severity.String() + " " + d.Path.String() + ": " + d.Summary
				if strings.Contains(d.Error(), "s3cret") {
					t.Errorf("a secret stands in %q", d)
				}
				if i < len(c.want) && strings.HasPrefix(line, c.want[i]) {
					line = c.want[i]
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The files that the configuration names are looked at when it is opened, or
// when they are needed; never when it is checked.
func TestCAFile(t *testing.T) {
	p := new(plugin)
	for _, file := range []string{t.TempDir() + "/none.pem", "README.md"} {
		if _, err := p.open(t.Context(), Config{CAFile: file}, env()); err == nil || !strings.Contains(err.Error(), "ca_file: ") {
			t.Errorf("%s: error %v", file, err)
		}
	}
}

// Every attribute is documented; README.md names them all.
func TestSchemaIsDocumented(t *testing.T) {
	s, err := schema.Of[Config]()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Attributes {
		if a.Doc == "" {
			t.Errorf("%s has no doc", a.Name)
		}
		if !strings.Contains(string(readme), "| `"+a.Name+"` |") {
			t.Errorf("the table of README.md does not name `%s`", a.Name)
		}
	}
	if len(s.Blocks) > 0 {
		t.Error("there are blocks: check them too")
	}
}
