package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// values is a configuration.
type values = map[string]any

var image = registry.Request{Host: "shop.azurecr.io", Repository: "shop/api"}

// open opens a provider over the wire.
func open(t *testing.T, p *plugin, config values) (*client.Registry, *sdktest.Harness) {
	t.Helper()
	h := sdktest.New(t, p.describe(), sdktest.Options{})
	return h.Registry("acr", config), h
}

func credential(t *testing.T, r *client.Registry) registry.Credential {
	t.Helper()
	c, err := r.Credential(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIdentities(t *testing.T) {
	const machine = "44444444-4444-4444-8444-444444444444"
	d := startDevregistry(t, "60s")
	tenant, app, user := d.Env["DEVREGISTRY_AZURE_TENANT"], d.Env["DEVREGISTRY_AZURE_CLIENT"], d.Env["DEVREGISTRY_AZURE_USER"]
	application := map[string]string{"AZURE_TENANT_ID": tenant, "AZURE_CLIENT_ID": app}
	appService := map[string]string{"IDENTITY_ENDPOINT": d.Env["IDENTITY_ENDPOINT"], "IDENTITY_HEADER": d.Env["IDENTITY_HEADER"]}
	with := func(base map[string]string, more ...string) map[string]string {
		m := map[string]string{}
		for k, v := range base {
			m[k] = v
		}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	for _, c := range []struct {
		name   string
		config values
		env    map[string]string
		want   string
	}{
		{name: "client secret", config: values{"tenant_id": tenant, "client_id": app, "client_secret": d.Env["DEVREGISTRY_AZURE_SECRET"]}, want: app},
		{name: "client secret of the environment", env: with(application, "AZURE_CLIENT_SECRET", d.Env["DEVREGISTRY_AZURE_SECRET"]), want: app},
		{name: "certificate", config: values{"tenant_id": tenant, "client_id": app, "certificate_file": d.file("certificate.pem")}, want: app},
		{name: "certificate of the environment", env: with(application, "AZURE_CLIENT_CERTIFICATE_PATH", d.file("certificate.pem")), want: app},
		{name: "workload identity", config: values{"tenant_id": tenant, "client_id": app, "token_file": d.file("federated-token")}, want: app},
		{name: "workload identity of the environment", env: with(application, "AZURE_FEDERATED_TOKEN_FILE", d.file("federated-token")), want: app},
		{name: "audience of the resource manager", config: values{"tenant_id": tenant, "client_id": app, "token_file": d.file("federated-token"), "audience": "https://management.azure.com/"}, want: app},
		{name: "metadata service", want: machine},
		{name: "metadata service, user-assigned", config: values{"client_id": user}, want: user},
		{name: "App Service", env: appService, want: machine},
		{name: "App Service, user-assigned", env: with(appService, "AZURE_CLIENT_ID", user), want: user},
		{name: "the environment wins over the machine", env: with(appService, "AZURE_TENANT_ID", tenant, "AZURE_CLIENT_ID", app, "AZURE_FEDERATED_TOKEN_FILE", d.file("federated-token")), want: app},
		{name: "the configuration wins over the environment", config: values{"identity": "managed_identity", "client_id": user},
			env: with(application, "AZURE_FEDERATED_TOKEN_FILE", d.file("federated-token")), want: user},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			r, h := open(t, &plugin{wrap: d.redirect()}, d.config(c.config))
			got := credential(t, r)
			if client := clientOf(t, got); client != c.want {
				t.Errorf("a token of %q, want %q", client, c.want)
			}
			if !d.opens(got) {
				t.Error("the registry refuses the token")
			}
			if got.Username != "00000000-0000-0000-0000-000000000000" || got.Scope != registry.ScopeRegistry || !got.Password.IsZero() {
				t.Errorf("user name %q, scope %q, password %q", got.Username, got.Scope, got.Password)
			}
			if left := time.Until(got.ExpiresAt); left < 55*time.Second || left > 61*time.Second {
				t.Errorf("the token expires in %s", left)
			}
			if strings.Contains(h.Log(), got.IdentityToken.Reveal()) {
				t.Error("the token is in the log")
			}
		})
	}
}

// The environment alone leads to the fake, as it does to Azure: nothing in the
// configuration is for tests.
func TestEnvironment(t *testing.T) {
	d := startDevregistry(t, "60s")
	for _, name := range []string{"AZURE_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"} {
		t.Setenv(name, d.Env[name])
	}
	r, _ := open(t, new(plugin), values{"endpoint": "http://" + d.Registry})
	credential(t, r)
}

// Tokens are replaced, and each works when it is handed out.
func TestRotation(t *testing.T) {
	const rotations = 20
	d := startDevregistry(t, "300ms")
	r, _ := open(t, new(plugin), d.principal())
	first := credential(t, r)
	seen := map[registry.Credential]bool{}
	for range rotations {
		c := credential(t, r)
		if !d.opens(c) {
			t.Fatalf("token %d is refused", len(seen)+1)
		}
		c.ExpiresAt = time.Time{}
		seen[c] = true
	}
	if len(seen) != rotations {
		t.Errorf("%d different tokens, want %d", len(seen), rotations)
	}
	for d.opens(first) {
		if t.Context().Err() != nil {
			t.Fatal("the first token does not expire")
		}
	}
}

// A federated token that has expired is an error until its file is replaced.
func TestRotatedTokenFile(t *testing.T) {
	d := startDevregistry(t, "60s")
	r, h := open(t, new(plugin), d.config(values{
		"tenant_id": d.Env["DEVREGISTRY_AZURE_TENANT"], "client_id": d.Env["DEVREGISTRY_AZURE_CLIENT"], "token_file": d.file("federated-token"),
	}))
	credential(t, r)
	for _, c := range []struct {
		knobs values
		want  []string
	}{
		{values{"token_life": "1ns"}, []string{"AADSTS700024", "check that the token file is renewed"}},
		{values{"token_audience": "https://elsewhere.example.com"}, []string{"AADSTS700212", "compare issuer, subject and audience"}},
	} {
		d.put("/clouds", values{"azure": c.knobs})
		token, err := os.ReadFile(d.file("federated-token"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Credential(t.Context(), image)
		if err == nil {
			t.Fatalf("%v: no error", c.knobs)
		}
		for _, want := range append(c.want, "workload identity", d.file("federated-token")) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %q", want, err)
			}
		}
		if strings.Contains(err.Error(), string(token)) || strings.Contains(h.Log(), string(token)) {
			t.Error("the token is in the error or the log")
		}
		if strings.Contains(err.Error(), "Trace ID") {
			t.Errorf("the error is not the same each time: %v", err)
		}
	}
	d.put("/clouds", values{"azure": values{}})
	credential(t, r)
}

// Each failure names what was tried and what to do, and no secret.
func TestErrors(t *testing.T) {
	d := startDevregistry(t, "60s")
	tenant, app := d.Env["DEVREGISTRY_AZURE_TENANT"], d.Env["DEVREGISTRY_AZURE_CLIENT"]
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.pem")
	if err := os.WriteFile(broken, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign-token")
	if err := os.WriteFile(foreign, []byte("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJzM2NyZXQifQ.c2lnbmF0dXJl"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config values
		want   []string
	}{
		{"wrong secret", values{"tenant_id": tenant, "client_id": app, "client_secret": "s3cret"},
			[]string{`service principal "` + app + `" with a client secret`, "answered 401", "AADSTS7000215", "client_secret is wrong"}},
		{"no tenant", values{"client_id": app, "client_secret": "s3cret"}, []string{"service principal: no tenant: set tenant_id"}},
		{"no client", values{"tenant_id": tenant, "token_file": foreign}, []string{"workload identity: no client: set client_id"}},
		{"no token file", values{"identity": "workload_identity", "tenant_id": tenant, "client_id": app}, []string{"azure.workload.identity/use"}},
		{"nothing to log in with", values{"identity": "service_principal", "tenant_id": tenant, "client_id": app}, []string{"neither secret nor certificate"}},
		{"unknown tenant", values{"tenant_id": "99999999-9999-4999-8999-999999999999", "client_id": app, "client_secret": "s3cret"}, []string{"AADSTS90002", "check tenant_id and the cloud"}},
		{"unknown application", values{"tenant_id": tenant, "client_id": "other", "client_secret": "s3cret"}, []string{"AADSTS700016", "check client_id and tenant_id"}},
		{"missing token file", values{"tenant_id": tenant, "client_id": app, "token_file": dir + "/none"}, []string{dir + "/none", "the file cannot be read: no such file"}},
		{"foreign token", values{"tenant_id": tenant, "client_id": app, "token_file": foreign}, []string{"AADSTS70021"}},
		{"broken certificate", values{"tenant_id": tenant, "client_id": app, "certificate_file": broken}, []string{"does not hold a certificate with its key"}},
		{"unknown audience", values{"tenant_id": tenant, "client_id": app, "client_secret": d.Env["DEVREGISTRY_AZURE_SECRET"], "audience": "https://example.com"}, []string{"AADSTS500011", "check audience"}},
		{"identity that is not assigned", values{"client_id": "99999999-9999-4999-8999-999999999999"}, []string{`managed identity "99999999-`, "Identity not found", "assign the identity"}},
		{"no authority", values{"tenant_id": tenant, "client_id": app, "client_secret": "s3cret", "authority_host": "https://127.0.0.1:1"}, []string{"no answer from 127.0.0.1:1: ", "connection refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, h := open(t, &plugin{wrap: d.redirect()}, d.config(c.config))
			_, err := r.Credential(t.Context(), image)
			if err == nil || errors.Is(err, registry.ErrAnonymous) {
				t.Fatalf("error %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
			for _, secret := range []string{"s3cret", "eyJ", d.Env["DEVREGISTRY_AZURE_SECRET"]} {
				if strings.Contains(err.Error(), secret) || strings.Contains(h.Log(), secret) {
					t.Errorf("%q is in the error or the log: %v", secret, err)
				}
			}
		})
	}
}

func TestRefusedByTheRegistry(t *testing.T) {
	d := startDevregistry(t, "60s")
	app := d.Env["DEVREGISTRY_AZURE_CLIENT"]
	d.put("/clouds", values{"azure": values{"no_role": []string{app}}})
	r, _ := open(t, new(plugin), d.principal())
	_, err := r.Credential(t.Context(), image)
	for _, want := range []string{"shop.azurecr.io: ", "answered 401", "UNAUTHORIZED", "grant the role AcrPull", app} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// A machine without an identity reads public images, unless one is asked for.
func TestNoIdentity(t *testing.T) {
	d := startDevregistry(t, "60s")
	d.put("/clouds", values{"azure": values{"no_identity": true}})
	r, h := open(t, &plugin{wrap: d.redirect()}, d.config(nil))
	for range 3 {
		if _, err := r.Credential(t.Context(), image); !errors.Is(err, registry.ErrAnonymous) {
			t.Fatalf("error %v, want ErrAnonymous", err)
		}
		if err := r.Tags(t.Context(), image, func(registry.Tag) {}); !errors.Is(err, registry.ErrAnonymous) {
			t.Fatalf("Tags: error %v, want ErrAnonymous", err)
		}
	}
	if n := strings.Count(h.Log(), "the machine has no managed identity"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	r, _ = open(t, &plugin{wrap: d.redirect()}, d.config(values{"identity": "managed_identity"}))
	if _, err := r.Credential(t.Context(), image); err == nil || errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("with identity: error %v", err)
	}
}

func TestThrottled(t *testing.T) {
	d := startDevregistry(t, "60s")
	for _, path := range []string{"/oauth2/v2.0/token", "/oauth2/exchange"} {
		d.put("/faults", []values{{"class": "cloud", "path": path, "status": 429, "header": values{"Retry-After": "7"}}})
		r, _ := open(t, new(plugin), d.principal())
		_, err := r.Credential(t.Context(), image)
		if after, ok := sdk.RetryDelay(err); !ok || after != 7*time.Second {
			t.Errorf("%s: retry after %s, error %v", path, after, err)
		}
	}
}

func TestHosts(t *testing.T) {
	d := startDevregistry(t, "60s")
	c := d.principal()
	c["hosts"] = []string{"registry.corp:5000"}
	r, _ := open(t, new(plugin), c)
	got := map[string]bool{}
	for _, host := range []string{"shop.azurecr.io", "registry.corp:5000", "registry.corp", "mcr.microsoft.com"} {
		_, err := r.Credential(t.Context(), registry.Request{Host: host, Repository: "a/b"})
		if err != nil && !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("%s: %v", host, err)
		}
		got[host] = err == nil
	}
	want := map[string]bool{"shop.azurecr.io": true, "registry.corp:5000": true, "registry.corp": false, "mcr.microsoft.com": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConformance(t *testing.T) {
	d := startDevregistry(t, "60s")
	d.push("shop/api", 3)
	sdktest.Registry(t, new(plugin).describe(), "acr", d.principal(), []registry.Request{image})
}

// roundTripper answers instead of a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
