package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/docker/internal/programtest"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func auths(host, user, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// clearEnv hides the files of the user who runs the tests.
func clearEnv(t *testing.T) (home string) {
	t.Helper()
	for _, name := range []string{"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, "")
	}
	return programtest.Install(t)
}

func TestFile(t *testing.T) {
	clearEnv(t)
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, `{"auths":{"r.example.com":{"auth":"YW5uOnMzY3JldA=="},"p.example.com/team":{"username":"bob","password":"p"}}}`)
	p := sdktest.New(t, plugin(), sdktest.Options{}).Registry("docker_config", values{"path": path})
	c, err := p.Credential(t.Context(), request("r.example.com", "app"))
	if err != nil || c.Username != "ann" || c.Password.Reveal() != "s3cret" || c.Scope != registry.ScopeRegistry || !c.ExpiresAt.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = p.Credential(t.Context(), request("p.example.com", "team/app"))
	if err != nil || c.Username != "bob" || c.Scope != registry.ScopeRepository {
		t.Errorf("%+v, %v", c, err)
	}
	for _, unknown := range []registry.Request{request("p.example.com", "other/app"), request("other.example.com", "app")} {
		_, err := p.Credential(t.Context(), unknown)
		if want := path + " has nothing for " + unknown.Host + "/" + unknown.Repository + ": "; !errors.Is(err, registry.ErrAnonymous) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want ErrAnonymous and %q", unknown, err, want)
		}
	}
}

// The kubelet replaces the files of a mounted Secret by turning a link; an
// editor renames. Size and time may stay as they were.
func TestFileIsReadAgain(t *testing.T) {
	clearEnv(t)
	dir := t.TempDir()
	for _, password := range []string{"one", "two"} {
		write(t, filepath.Join(dir, "..data_"+password, ".dockerconfigjson"), auths("r.example.com", "ann", password))
	}
	turn := func(to string) {
		t.Helper()
		temporary := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink("..data_"+to, temporary); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, ".dockerconfigjson")
	if err := os.Symlink("..data/.dockerconfigjson", path); err != nil {
		t.Fatal(err)
	}
	p := sdktest.New(t, plugin(), sdktest.Options{}).Registry("docker_config", values{"path": path})
	for _, password := range []string{"one", "two", "one"} {
		turn(password)
		if c, err := p.Credential(t.Context(), request("r.example.com", "app")); err != nil || c.Password.Reveal() != password {
			t.Errorf("%q, %v, want %q", c.Password.Reveal(), err, password)
		}
	}
}

func TestBrokenFile(t *testing.T) {
	clearEnv(t)
	path := filepath.Join(t.TempDir(), "config.json")
	p := sdktest.New(t, plugin(), sdktest.Options{}).Registry("docker_config", values{"path": path})
	_, err := p.Credential(t.Context(), request("r.example.com", "app"))
	if err == nil || !strings.Contains(err.Error(), path) || errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("without the file: %v", err)
	}
	write(t, path, `{"auths": {"r.example.com": {"auth": hunter2`)
	_, err = p.Credential(t.Context(), request("r.example.com", "app"))
	if err == nil || !strings.Contains(err.Error(), path+": it is not JSON: line 1, column 38") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("with half a file: %v", err)
	}
	write(t, path, auths("r.example.com", "ann", "p"))
	if _, err = p.Credential(t.Context(), request("r.example.com", "app")); err != nil {
		t.Errorf("repaired: %v", err)
	}
}

func TestDefaultFiles(t *testing.T) {
	home := clearEnv(t)
	p := sdktest.New(t, plugin(), sdktest.Options{}).Registry("docker_config", values{})
	ask := func(want string) {
		t.Helper()
		c, err := p.Credential(t.Context(), request("r.example.com", "app"))
		if want == "" {
			if !errors.Is(err, registry.ErrAnonymous) || !strings.Contains(err.Error(), filepath.Join(home, ".docker", "config.json")) {
				t.Errorf("%v, want ErrAnonymous and the files that were looked for", err)
			}
			return
		}
		if err != nil || c.Username != want {
			t.Errorf("%s, %v; want %s", c.Username, err, want)
		}
	}
	ask("")
	write(t, filepath.Join(home, ".config/containers/auth.json"), auths("r.example.com", "podman", "p"))
	ask("podman")
	runtime := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	write(t, filepath.Join(runtime, "containers/auth.json"), auths("r.example.com", "runtime", "p"))
	ask("runtime")
	file := filepath.Join(t.TempDir(), "auth.json")
	t.Setenv("REGISTRY_AUTH_FILE", file)
	ask("")
	write(t, file, auths("r.example.com", "file", "p"))
	ask("file")
	write(t, filepath.Join(home, ".docker/config.json"), auths("r.example.com", "docker", "p"))
	ask("docker")
	write(t, filepath.Join(home, ".docker/config.json"), "broken")
	ask("file") // what is broken hides nothing
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	write(t, filepath.Join(dir, "config.json"), auths("r.example.com", "elsewhere", "p"))
	ask("elsewhere")
}

func TestCredentialHelpers(t *testing.T) {
	home := clearEnv(t)
	programtest.Store(t, home,
		programtest.Credential{ServerURL: "https://index.docker.io/v1/", Username: "hub", Secret: "h"},
		programtest.Credential{ServerURL: "https://url.example.com", Username: "url", Secret: "u"},
		programtest.Credential{ServerURL: "r.example.com", Username: "stored", Secret: "s"})
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, `{"credsStore":"store","credHelpers":{"env.example.com":"environment","none.example.com":"missing","bad.example.com":"../x"},
		"auths":{"r.example.com":{},"plain.example.com":{"auth":"cGxhaW46cA=="},"none.example.com":{"auth":"cGxhaW46cA=="}}}`)
	t.Setenv("AWS_PROFILE", "inherited-profile")
	t.Setenv("DAEMON_KEY", "not-for-helpers")
	h := sdktest.New(t, plugin(), sdktest.Options{})
	p := h.Registry("docker_config", values{"path": path, "env": values{"EXTRA": "extra-value"}})
	for host, want := range map[string]string{
		"r.example.com": "stored", "index.docker.io": "hub", "url.example.com": "url", "plain.example.com": "plain",
	} {
		if c, err := p.Credential(t.Context(), request(host, "app")); err != nil || c.Username != want || c.Scope != registry.ScopeRegistry {
			t.Errorf("%s: %s, %v; want %s", host, c.Username, err, want)
		}
	}
	if _, err := p.Credential(t.Context(), request("unknown.example.com", "app")); !errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("%v, want ErrAnonymous", err)
	}
	for host, want := range map[string]string{
		"none.example.com": path + ": docker-credential-missing: there is no such program in the PATH of the plugin",
		"bad.example.com":  path + `: "../x" is not the name of a credential helper`,
	} {
		if _, err := p.Credential(t.Context(), request(host, "app")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", host, err, want)
		}
	}
	c, err := p.Credential(t.Context(), request("env.example.com", "app"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"AWS_PROFILE=inherited-profile", "DOCKER_CONFIG=", "EXTRA=extra-value", "HOME=" + home, "PATH=" + os.Getenv("PATH")}
	got := strings.Split(c.Password.Reveal(), "\n")
	got = removeOthers(got, "AWS_PROFILE", "DOCKER_CONFIG", "EXTRA", "HOME", "PATH", "DAEMON_KEY")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	without := h.Registry("docker_config", values{"path": path, "helpers": false})
	if c, err := without.Credential(t.Context(), request("none.example.com", "app")); err != nil || c.Username != "plain" {
		t.Errorf("without helpers: %s, %v", c.Username, err)
	}
}

// removeOthers leaves only variables with these names.
func removeOthers(env []string, names ...string) (out []string) {
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		for _, n := range names {
			if n == name {
				out = append(out, e)
			}
		}
	}
	return out
}

func TestFileConformance(t *testing.T) {
	home := clearEnv(t)
	programtest.Store(t, home, programtest.Credential{ServerURL: "stored.example.com", Username: "ann", Secret: "planted-in-the-store"})
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, `{"credsStore":"store","auths":{"r.example.com":{"username":"ann","password":"planted-in-the-file"},"/no/host":{}}}`)
	sdktest.Registry(t, plugin(), "docker_config", values{"path": path},
		[]registry.Request{request("r.example.com", "app"), request("stored.example.com", "app")})
}
