package main

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// values is a configuration.
type values = map[string]any

var image = registry.Request{Host: "europe-west1-docker.pkg.dev", Repository: "project/shop/api"}

// open opens a provider over the wire. Nil transport is the plugin's own.
func open(t *testing.T, transport http.RoundTripper, config values) (*client.Registry, *sdktest.Harness) {
	t.Helper()
	if config == nil {
		config = values{}
	}
	h := sdktest.New(t, (&plugin{transport: transport}).describe(), sdktest.Options{})
	return h.Registry("gcr", config), h
}

func credential(t *testing.T, r *client.Registry) registry.Credential {
	t.Helper()
	c, err := r.Credential(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSources(t *testing.T) {
	const (
		machine   = "machine@devregistry.iam.gserviceaccount.com"
		key       = "key@devregistry.iam.gserviceaccount.com"
		reader    = "reader@devregistry.iam.gserviceaccount.com"
		person    = "user@example.com"
		federated = "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/dev/subject/system:serviceaccount:sluice:sluice"
	)
	d := startDevregistry(t, "60s")
	for _, c := range []struct {
		name     string
		config   values
		env      map[string]string // "@x" stands for the path of the file x
		redirect bool              // the source has a fixed address
		want     string
	}{
		{name: "metadata server", env: map[string]string{"GCE_METADATA_HOST": d.Env["GCE_METADATA_HOST"]}, want: machine},
		{name: "metadata server that is found", redirect: true, want: machine},
		{name: "service account key", config: values{"key_file": d.file("service-account.json")}, want: key},
		{name: "environment", env: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "@service-account.json"}, want: key},
		{name: "key_file wins over the environment", config: values{"key_file": d.file("impersonated.json")},
			env: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "@service-account.json"}, want: reader},
		{name: "the environment wins over the metadata server",
			env: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "@service-account.json", "GCE_METADATA_HOST": d.Env["GCE_METADATA_HOST"]}, want: key},
		{name: "federation", config: values{"key_file": d.file("external-account.json")}, want: federated},
		{name: "federation with impersonation", config: values{"key_file": d.file("external-account-reader.json")}, want: reader},
		{name: "impersonating file", config: values{"key_file": d.file("impersonated.json")}, want: reader},
		{name: "user", config: values{"key_file": d.file("authorized-user.json")}, redirect: true, want: person},
		{name: "impersonation by the machine", config: values{"impersonate": reader}, redirect: true, want: reader},
		{name: "impersonation by a key", config: values{"key_file": d.file("service-account.json"), "impersonate": reader}, redirect: true, want: reader},
		{name: "impersonation by federation", config: values{"key_file": d.file("external-account.json"), "impersonate": reader}, redirect: true, want: reader},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				if file, ok := strings.CutPrefix(value, "@"); ok {
					value = d.file(file)
				}
				t.Setenv(name, value)
			}
			var transport http.RoundTripper
			if c.redirect {
				transport = d.redirect()
			}
			r, h := open(t, transport, c.config)
			got := credential(t, r)
			if account := d.account(got); account != c.want {
				t.Errorf("a token of %q, want %q", account, c.want)
			}
			if !d.opens(got) {
				t.Error("the registry refuses the token")
			}
			if got.Username != "oauth2accesstoken" || got.Scope != registry.ScopeGlobal {
				t.Errorf("user name %q, scope %q", got.Username, got.Scope)
			}
			if left := time.Until(got.ExpiresAt); left < 25*time.Second || left > 61*time.Second {
				t.Errorf("the token expires in %s", left)
			}
			if strings.Contains(h.Log(), got.Password.Reveal()) {
				t.Error("the token is in the log")
			}
		})
	}
}

// gcloud's application default credentials are found where gcloud puts them.
func TestGcloudCredentials(t *testing.T) {
	d := startDevregistry(t, "60s")
	home := t.TempDir()
	t.Setenv("HOME", home)
	dir := filepath.Join(home, ".config", "gcloud")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	copyFile(t, d.file("authorized-user.json"), filepath.Join(dir, "application_default_credentials.json"))
	r, _ := open(t, d.redirect(), nil)
	if got := d.account(credential(t, r)); got != "user@example.com" {
		t.Errorf("a token of %q", got)
	}
}

// Tokens are replaced, and each works when it is handed out.
func TestRotation(t *testing.T) {
	const rotations = 20
	d := startDevregistry(t, "400ms")
	t.Setenv("GCE_METADATA_HOST", d.Env["GCE_METADATA_HOST"])
	for name, config := range map[string]values{
		"metadata server": nil,
		"federation":      {"key_file": d.file("external-account-reader.json")},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := open(t, nil, config)
			first := credential(t, r)
			for seen := map[registry.Credential]bool{}; len(seen) < rotations; {
				c := credential(t, r)
				if !d.opens(c) {
					t.Fatalf("token %d is refused", len(seen)+1)
				}
				c.ExpiresAt = time.Time{}
				seen[c] = true
			}
			for d.opens(first) {
				if t.Context().Err() != nil {
					t.Fatal("the first token does not expire")
				}
			}
		})
	}
}

// A subject token that has expired is an error until its file is replaced.
func TestRotatedSubjectToken(t *testing.T) {
	d := startDevregistry(t, "60s")
	r, h := open(t, nil, values{"key_file": d.file("external-account.json")})
	credential(t, r)

	d.put("/clouds", values{"google": values{"subject_life": "1ns"}})
	stale := subjectToken(t, d)
	_, err := r.Credential(t.Context(), image)
	for err == nil { // whole seconds: it may be valid for the rest of this one
		_, err = r.Credential(t.Context(), image)
	}
	for _, want := range []string{d.file("external-account.json"), "invalid_grant", "the token has expired", "check that the audience"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if strings.Contains(err.Error(), stale) || strings.Contains(h.Log(), stale) {
		t.Error("the subject token is in the error or the log")
	}

	d.put("/clouds", values{"google": values{"subject_life": "1h"}})
	credential(t, r)
}

func TestWrongAudience(t *testing.T) {
	d := startDevregistry(t, "60s")
	_, token := d.get(d.Endpoints["google"]+"/issuer/token", url.Values{"audience": {"https://elsewhere.example.com"}})
	if err := os.WriteFile(d.file("subject-token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := open(t, nil, values{"key_file": d.file("external-account.json")})
	_, err := r.Credential(t.Context(), image)
	if err == nil || !strings.Contains(err.Error(), "does not match the expected audience") {
		t.Errorf("error %v", err)
	}
}

// Hosts of others are not Google's to answer for.
func TestHosts(t *testing.T) {
	d := startDevregistry(t, "60s")
	r, _ := open(t, nil, values{"key_file": d.file("service-account.json"), "hosts": []string{"mirror.corp:5000"}})
	for host, want := range map[string]bool{"gcr.io": true, "mirror.corp:5000": true, "mirror.corp": false, "quay.io": false} {
		_, err := r.Credential(t.Context(), registry.Request{Host: host, Repository: "a/b"})
		switch {
		case want && err != nil:
			t.Errorf("%s: %v", host, err)
		case !want && !errors.Is(err, registry.ErrAnonymous):
			t.Errorf("%s: %v, want ErrAnonymous", host, err)
		}
	}
}

// A machine without a service account reads public images, unless credentials
// are asked for.
func TestNoServiceAccount(t *testing.T) {
	d := startDevregistry(t, "60s")
	d.put("/clouds", values{"google": values{"no_account": true}})
	r, h := open(t, d.redirect(), nil)
	for range 3 {
		if _, err := r.Credential(t.Context(), image); !errors.Is(err, registry.ErrAnonymous) {
			t.Fatalf("error %v, want ErrAnonymous", err)
		}
	}
	if n := strings.Count(h.Log(), "the machine has no service account"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	t.Setenv("GCE_METADATA_HOST", d.Env["GCE_METADATA_HOST"])
	if _, err := r.Credential(t.Context(), image); err == nil || errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("with GCE_METADATA_HOST: error %v", err)
	}
}

func TestThrottled(t *testing.T) {
	d := startDevregistry(t, "60s")
	d.put("/faults", []values{{"class": "cloud", "status": 429, "header": values{"Retry-After": "7"}}})
	r, _ := open(t, nil, values{"key_file": d.file("service-account.json")})
	_, err := r.Credential(t.Context(), image)
	if after, ok := sdk.RetryDelay(err); !ok || after != 7*time.Second {
		t.Errorf("retry after %s, error %v", after, err)
	}
}

func TestConformance(t *testing.T) {
	d := startDevregistry(t, "60s")
	sdktest.Registry(t, new(plugin).describe(), "gcr", values{"key_file": d.file("service-account.json")},
		[]registry.Request{image, {Host: "gcr.io", Repository: "project/api"}})
}

func subjectToken(t *testing.T, d *devregistry) string {
	t.Helper()
	b, err := os.ReadFile(d.file("subject-token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
