package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/docker/internal/programtest"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

// lives reports whether c expires in about d from now.
func lives(c registry.Credential, d time.Duration) bool {
	left := time.Until(c.ExpiresAt)
	return left <= d && left > d-30*time.Second
}

func TestExecDocker(t *testing.T) {
	home := clearEnv(t)
	programtest.Store(t, home,
		programtest.Credential{ServerURL: "r.example.com", Username: "ann", Secret: "s3cret"},
		programtest.Credential{ServerURL: "https://index.docker.io/v1/", Username: "<token>", Secret: "refresh"})
	h := sdktest.New(t, plugin(), sdktest.Options{})
	p := h.Registry("exec", values{"command": []string{"docker-credential-store"}})
	c, err := p.Credential(t.Context(), request("r.example.com", "app"))
	if err != nil || c.Username != "ann" || c.Password.Reveal() != "s3cret" || c.Scope != registry.ScopeRegistry || !lives(c, 5*time.Minute) {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = p.Credential(t.Context(), request("docker.io", "library/nginx"))
	if err != nil || c.Username != "" || c.IdentityToken.Reveal() != "refresh" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := p.Credential(t.Context(), request("other.example.com", "app")); !errors.Is(err, registry.ErrAnonymous) || !strings.Contains(err.Error(), " has nothing for other.example.com: ") {
		t.Errorf("%v, want ErrAnonymous and whose word it is", err)
	}

	// It is asked each time: what may be kept, the host keeps.
	programtest.Store(t, home, programtest.Credential{ServerURL: "r.example.com", Username: "ann", Secret: "rotated"})
	if c, err := p.Credential(t.Context(), request("r.example.com", "app")); err != nil || c.Password.Reveal() != "rotated" {
		t.Errorf("%q, %v", c.Password.Reveal(), err)
	}
}

func TestExecKubelet(t *testing.T) {
	home := clearEnv(t)
	p := sdktest.New(t, plugin(), sdktest.Options{}).Registry("exec", values{
		"command": []string{"docker-credential-kubelet"}, "protocol": "kubelet", "cache": "10m",
	})
	respond := func(rest string) {
		programtest.Write(t, home, "response.json",
			`{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":"Registry",`+rest+`}`)
	}
	const auth = `"auth":{"*.example.com":{"username":"ann","password":"s3cret"}}`
	for rest, want := range map[string]time.Duration{
		auth:                            10 * time.Minute,
		`"cacheDuration":"12h",` + auth: 12 * time.Hour,
		`"cacheDuration":"0s",` + auth:  time.Second,
	} {
		respond(rest)
		c, err := p.Credential(t.Context(), request("r.example.com", "app"))
		if err != nil || c.Username != "ann" || c.Password.Reveal() != "s3cret" || c.Scope != registry.ScopeRegistry || !lives(c, want) {
			t.Errorf("%s: %+v, %v", rest, c, err)
		}
	}
	respond(`"auth":{}`)
	if _, err := p.Credential(t.Context(), request("r.example.com", "app")); !errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("%v, want ErrAnonymous", err)
	}
}

// A program sees what it is given, and an error does not repeat it.
func TestExecEnvironment(t *testing.T) {
	home := clearEnv(t)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not-for-everybody")
	t.Setenv("VAULT_ADDR", "https://vault.example.com")
	t.Setenv("VAULT_TOKEN", "inherited-token")
	h := sdktest.New(t, plugin(), sdktest.Options{})
	config := func(name string) values {
		return values{
			"command": []string{"docker-credential-" + name, "--flag"}, "inherit": []string{"VAULT_*"}, "env": values{"API_KEY": "k3y-of-the-daemon"},
		}
	}
	c, err := h.Registry("exec", config("environment")).Credential(t.Context(), request("r.example.com", "app"))
	if err != nil {
		t.Fatal(err)
	}
	got := removeOthers(strings.Split(c.Password.Reveal(), "\n"), "AWS_SECRET_ACCESS_KEY", "VAULT_ADDR", "VAULT_TOKEN", "API_KEY", "HOME", "PATH")
	want := []string{"API_KEY=k3y-of-the-daemon", "HOME=" + home, "PATH=" + os.Getenv("PATH"), "VAULT_ADDR=https://vault.example.com", "VAULT_TOKEN=inherited-token"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c, err = h.Registry("exec", config("arguments")).Credential(t.Context(), request("r.example.com", "app"))
	if err != nil || c.Password.Reveal() != "--flag\nget" {
		t.Errorf("arguments %q, %v", c.Password.Reveal(), err)
	}
	_, err = h.Registry("exec", config("broken")).Credential(t.Context(), request("r.example.com", "app"))
	if err == nil || !strings.Contains(err.Error(), "pass is not initialized: exit status 1, API key (redacted)") {
		t.Errorf("%v", err)
	}
}

func TestExecConformance(t *testing.T) {
	home := clearEnv(t)
	programtest.Store(t, home, programtest.Credential{ServerURL: "r.example.com", Username: "ann", Secret: "planted-in-the-store"})
	programtest.Write(t, home, "response.json", `{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":"Image","cacheDuration":"1h",
		"auth":{"r.example.com":{"username":"ann","password":"planted-in-the-answer"}}}`)
	for protocol, program := range map[string]string{"docker": "docker-credential-store", "kubelet": "docker-credential-kubelet"} {
		t.Run(protocol, func(t *testing.T) {
			sdktest.Registry(t, plugin(), "exec", values{"command": []string{program}, "protocol": protocol},
				[]registry.Request{request("r.example.com", "app")})
		})
	}
}
