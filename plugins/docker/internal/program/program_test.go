package program

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/plugins/docker/internal/authfile"
	"github.com/sluice-gitops/sluice/plugins/docker/internal/programtest"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestMain(m *testing.M) {
	programtest.Main()
	goleak.VerifyTestMain(m)
}

// spec is one of programtest's, which must be installed.
func spec(name string, env ...string) Spec {
	p := Spec{
		Command: []string{"docker-credential-" + name}, Timeout: time.Minute,
		Env: append(env, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME")),
	}
	for _, e := range env {
		_, value, _ := strings.Cut(e, "=")
		p.Hide = append(p.Hide, value)
	}
	return p
}

func TestGet(t *testing.T) {
	home := programtest.Install(t)
	programtest.Store(t, home,
		programtest.Credential{ServerURL: "registry.example.com", Username: "ann", Secret: "s3cret"},
		programtest.Credential{ServerURL: "token.example.com", Username: "<token>", Secret: "refresh"})
	for server, want := range map[string]authfile.Credential{
		"registry.example.com": {Username: "ann", Password: secret.New("s3cret")},
		"token.example.com":    {IdentityToken: secret.New("refresh")},
		"other.example.com":    {},
	} {
		got, err := spec("store").Get(t.Context(), server)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", server, got, err)
		}
		if diff := cmp.Diff([]string{server}, programtest.Asked(t, home)); diff != "" {
			t.Errorf("asked: %s", diff)
		}
	}
}

// Nothing that a program prints as an answer, and nothing of its environment,
// is in an error.
func TestFailures(t *testing.T) {
	home := programtest.Install(t)
	const key = "API_KEY=k3y-of-the-daemon"
	for name, want := range map[string]string{
		"leak":    "docker-credential-leak: exit status 3: debug: logged in with (redacted) and (redacted) [31mbut then",
		"broken":  "docker-credential-broken: exit status 1: pass is not initialized: exit status 1, API key (redacted)",
		"html":    "docker-credential-html: its answer is not the JSON of a docker credential helper",
		"flood":   "docker-credential-flood: it prints more than 1 MiB",
		"missing": "docker-credential-missing: there is no such program in the PATH of the plugin",
	} {
		got, err := spec(name, key).Get(t.Context(), "registry.example.com")
		if err == nil || err.Error() != want || !got.IsZero() {
			t.Errorf("%s: %+v, %v\nwant %s", name, got, err, want)
		}
	}
	_, err := spec("store").Get(t.Context(), "registry.example.com") // without its file
	if err == nil || !strings.Contains(err.Error(), "the store is locked: open "+home) {
		t.Errorf("%v", err)
	}
	_, err = Spec{Command: []string{"/no/such/helper"}, Timeout: time.Minute}.Get(t.Context(), "x")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// gone waits until the process that a program has noted is there no more.
func gone(t *testing.T, home string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(home, "child"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(content))
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for running(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// running reports whether a process runs: it is there, and no zombie that
// nobody has waited for yet.
func running(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestTimeoutKillsAll(t *testing.T) {
	home := programtest.Install(t)
	p := spec("hang")
	p.Timeout = time.Second
	_, err := p.Get(t.Context(), "registry.example.com")
	want := "docker-credential-hang: it has not answered in 1s: waiting for the smart card"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	gone(t, home)
}

func TestCancelKillsAll(t *testing.T) {
	home := programtest.Install(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // ends: the program writes the file at once
		for {
			if content, err := os.ReadFile(filepath.Join(home, "child")); err == nil && len(content) > 0 {
				cancel()
				return
			}
		}
	}()
	_, err := spec("hang").Get(ctx, "registry.example.com")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
	gone(t, home)
}

// A helper that starts an agent answers nevertheless, and the agent is not left
// behind.
func TestLeftChild(t *testing.T) {
	home := programtest.Install(t)
	got, err := spec("parent").Get(t.Context(), "registry.example.com")
	if err != nil || got.Password.Reveal() != "from-the-parent" {
		t.Errorf("%+v, %v", got, err)
	}
	gone(t, home)
}

func TestProvide(t *testing.T) {
	home := programtest.Install(t)
	life := func(d time.Duration) *time.Duration { return &d }
	const head = `{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse",`
	one := authfile.Credential{Username: "one", Password: secret.New("1")}
	two := authfile.Credential{Username: "two", Password: secret.New("2")}
	for _, c := range []struct {
		name, response, host string
		want                 Answer
	}{
		{"registry", head + `"cacheKeyType":"Registry","cacheDuration":"6h0m0s","auth":{"*.example.com":{"username":"one","password":"1"}}}`,
			"r.example.com", Answer{one, registry.ScopeRegistry, life(6 * time.Hour)}},
		{"image", head + `"cacheKeyType":"Image","cacheDuration":"0s","auth":{"r.example.com":{"username":"one","password":"1"}}}`,
			"r.example.com", Answer{one, registry.ScopeRepository, life(0)}},
		{"global is not for hosts that no key names", head + `"cacheKeyType":"Global","auth":{"r.example.com":{"username":"one","password":"1"}}}`,
			"r.example.com", Answer{one, registry.ScopeRegistry, nil}},
		{"most specific", head + `"cacheKeyType":"Registry","auth":{"*.example.com":{"username":"two","password":"2"},"r.example.com/team":{"username":"one","password":"1"}}}`,
			"r.example.com", Answer{one, registry.ScopeRepository, nil}},
		{"other path", head + `"cacheKeyType":"Registry","auth":{"r.example.com":{"username":"two","password":"2"},"r.example.com/other":{"username":"one","password":"1"}}}`,
			"r.example.com", Answer{two, registry.ScopeRepository, nil}},
		{"part of a path, as the kubelet matches", head + `"cacheKeyType":"Image","auth":{"https://r.example.com/te":{"username":"one","password":"1"}}}`,
			"r.example.com", Answer{one, registry.ScopeRepository, nil}},
		{"other port", head + `"cacheKeyType":"Image","auth":{"r.example.com:5000":{"username":"one","password":"1"}}}`,
			"r.example.com", Answer{authfile.Credential{}, registry.ScopeRepository, nil}},
		{"docker hub", head + `"cacheKeyType":"Registry","auth":{"docker.io":{"username":"one","password":"1"}}}`,
			"index.docker.io", Answer{one, registry.ScopeRegistry, nil}},
		{"nothing", head + `"cacheKeyType":"Image","auth":null}`, "r.example.com", Answer{authfile.Credential{}, registry.ScopeRepository, nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			programtest.Write(t, home, "response.json", c.response)
			got, err := spec("kubelet").Provide(t.Context(), c.host, "team/app")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.Comparer(secret.Secret.Equal)); diff != "" {
				t.Error(diff)
			}
			image := c.host
			if image == "index.docker.io" {
				image = "docker.io"
			}
			request := `{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderRequest","image":"` + image + `/team/app"}`
			if diff := cmp.Diff([]string{request}, programtest.Asked(t, home)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for response, want := range map[string]string{
		"nonsense": "not the JSON of a kubelet credential provider",
		`{"apiVersion":"credentialprovider.kubelet.k8s.io/v1beta1","kind":"CredentialProviderResponse"}`: `of "credentialprovider.kubelet.k8s.io/v1beta1", not a CredentialProviderResponse of`,
		head + `"cacheKeyType":"Node","auth":{}}`:                                                        `cacheKeyType "Node" is none of`,
		head + `"cacheKeyType":"Image","cacheDuration":"soon"}`:                                          `cacheDuration "soon" is not a duration`,
		head + `"cacheKeyType":"Image","cacheDuration":"-1s"}`:                                           `cacheDuration "-1s" is not a duration`,
		head + `"cacheKeyType":"Image","auth":{"a":"hunter2-hunter2"}}`:                                  "not the JSON of a kubelet credential provider",
	} {
		programtest.Write(t, home, "response.json", response)
		_, err := spec("kubelet").Provide(t.Context(), "r.example.com", "team/app")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", response, err)
		}
	}
}

func TestScrub(t *testing.T) {
	for _, c := range []struct{ text, stdout, want string }{
		{"got abcdefgh-1 and abcdefgh", `{"a":"abcdefgh","b":"abcdefgh-1"}`, "got (redacted) and (redacted)"},
		{"no ab in it", "ab", "no ab in it"},
		{"two\nlines\x00\xff", "", "two lines"},
		{strings.Repeat("é", 400), "", "..." + strings.Repeat("é", 256)},
	} {
		if got := scrub(c.text, words(c.stdout)); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}
