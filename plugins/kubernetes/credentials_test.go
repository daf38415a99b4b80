package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/pullsecret"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

const registryHost = "registry.example.com:5000"

// keychainOn returns a keychain, and what it logs.
func keychainOn(t *testing.T, kubeconfig string, namespaces ...string) (*keychain, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	k, err := newKeychain(Config{Namespaces: namespaces}, cluster.Options{Kubeconfig: kubeconfig, Log: hclog.New(&hclog.LoggerOptions{Output: log})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k, log
}

// pullSecret makes a secret for hosts, with which user is who pulls.
func pullSecret(t *testing.T, target *target, ns, name, user string, hosts ...string) {
	t.Helper()
	auths := map[string]any{}
	for _, host := range hosts {
		auths[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":password-of-" + user))}
	}
	content, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	rawSecret(t, target, ns, name, pullsecret.TypeDockerConfigJSON, ".dockerconfigjson", string(content))
}

func rawSecret(t *testing.T, target *target, ns, name, typ, key, content string) {
	t.Helper()
	u := decodeYAML(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\ntype: %s\ndata: {%s: %s}\n", name, typ, key, base64.StdEncoding.EncodeToString([]byte(content))))
	if _, err := target.client.Dynamic.Resource(secretObjects).Namespace(ns).Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// account makes a service account; default is made by the cluster, in its time.
func account(t *testing.T, target *target, ns, name string, secrets ...string) {
	t.Helper()
	refs := make([]map[string]string, len(secrets))
	for i, s := range secrets {
		refs[i] = map[string]string{"name": s}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": name}, "imagePullSecrets": refs})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := target.client.Dynamic.Resource(serviceAccounts).Namespace(ns).
		Apply(t.Context(), name, decodeYAML(t, string(body)), metav1.ApplyOptions{FieldManager: "test"}); err != nil {
		t.Fatal(err)
	}
}

// userOf is who pulls for a consumer; "-" is nobody.
func userOf(t *testing.T, k *keychain, host, repository string, c registry.Consumer) string {
	t.Helper()
	credential, err := k.Credential(t.Context(), registry.Request{Host: host, Repository: repository, Consumer: c})
	switch {
	case errors.Is(err, registry.ErrAnonymous):
		return "-"
	case err != nil:
		return "error: " + err.Error()
	case credential.Password.Reveal() != "password-of-"+credential.Username:
		return "wrong password"
	}
	return credential.Username
}

func TestPullSecrets(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	k, log := keychainOn(t, os.Getenv(kubeconfigVariable))
	pullSecret(t, target, ns, "of-pod", "pod", registryHost, "https://index.docker.io/v1/")
	pullSecret(t, target, ns, "of-account", "account", registryHost, "*.example.org", registryHost+"/team/special")
	pullSecret(t, target, ns, "of-default", "default", "https://registry.example.com:5000/v2/")
	rawSecret(t, target, ns, "old", pullsecret.TypeDockercfg, ".dockercfg", `{"https://Old.example.com/v1/":{"username":"old","password":"password-of-old","email":"x"}}`)
	account(t, target, ns, "runner", "of-account", "old")
	account(t, target, ns, "default", "of-default", "no-such")
	for name, tt := range map[string]struct {
		host, repository string
		consumer         registry.Consumer
		want             string
	}{
		"the pod's first":           {registryHost, "app", registry.Consumer{Namespace: ns, ServiceAccount: "runner", PullSecrets: []string{"of-pod"}}, "pod"},
		"the account's longer path": {registryHost, "team/special/app", registry.Consumer{Namespace: ns, ServiceAccount: "runner", PullSecrets: []string{"of-pod"}}, "account"},
		"the account's":             {registryHost, "app", registry.Consumer{Namespace: ns, ServiceAccount: "runner"}, "account"},
		"the default account's":     {registryHost, "app", registry.Consumer{Namespace: ns}, "default"},
		"of a glob":                 {"eu.example.org", "app", registry.Consumer{Namespace: ns, ServiceAccount: "runner"}, "account"},
		"the old type":              {"old.example.com", "app", registry.Consumer{Namespace: ns, ServiceAccount: "runner"}, "old"},
		"Docker Hub":                {"index.docker.io", "library/nginx", registry.Consumer{Namespace: ns, PullSecrets: []string{"no-such", "of-pod"}}, "pod"},
		"no account":                {registryHost, "app", registry.Consumer{Namespace: ns, ServiceAccount: "no-such"}, "-"},
		"another host":              {"elsewhere.example.com", "app", registry.Consumer{Namespace: ns, PullSecrets: []string{"of-pod"}}, "-"},
		"the daemon itself":         {registryHost, "app", registry.Consumer{}, "-"},
		"no namespace":              {registryHost, "app", registry.Consumer{ServiceAccount: "runner", PullSecrets: []string{"of-pod"}}, "-"},
	} {
		if got := userOf(t, k, tt.host, tt.repository, tt.consumer); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	if log.Len() > 0 {
		t.Errorf("nothing is wrong, and the log says:\n%s", log)
	}
}

// TestWhyNoPullSecret: whoever is left without a credential is told why.
func TestWhyNoPullSecret(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	k, _ := keychainOn(t, os.Getenv(kubeconfigVariable))
	limited, _ := keychainOn(t, os.Getenv(kubeconfigVariable), "other")
	account(t, target, ns, "default")
	account(t, target, ns, "runner", "gone")
	pullSecret(t, target, ns, "elsewhere", "user", "a.example.com", "https://user:pl4nted-secret@b.example.com/v1/", registryHost+"/team")
	pullSecret(t, target, ns, "many", "user", "1.example.com", "2.example.com", "3.example.com", "4.example.com", "5.example.com", "6.example.com", "7.example.com")
	pullSecret(t, target, ns, "empty", "user")
	for name, tt := range map[string]struct {
		keychain *keychain
		consumer registry.Consumer
		want     string
	}{
		"no namespace":      {k, registry.Consumer{}, "pull secrets are for what runs in a namespace"},
		"not this one":      {limited, registry.Consumer{Namespace: ns}, "the namespace NS is none of those that the applier is limited to"},
		"missing namespace": {k, registry.Consumer{Namespace: ns + "-nope", PullSecrets: []string{"a"}}, "there is no namespace NS-nope"},
		"missing secret":    {k, registry.Consumer{Namespace: ns, PullSecrets: []string{"nope"}}, "secret NS/nope does not exist"},
		"of the account":    {k, registry.Consumer{Namespace: ns, ServiceAccount: "runner"}, "secret NS/gone does not exist"},
		"missing account":   {k, registry.Consumer{Namespace: ns, ServiceAccount: "nope"}, "service account NS/nope does not exist"},
		"no secrets":        {k, registry.Consumer{Namespace: ns}, "no pull secrets are named, and the service account NS/default has none"},
		"other hosts":       {k, registry.Consumer{Namespace: ns, PullSecrets: []string{"elsewhere"}}, "elsewhere is for a.example.com, b.example.com/v1/, " + registryHost + "/team"},
		"many hosts":        {k, registry.Consumer{Namespace: ns, PullSecrets: []string{"many"}}, "many is for 1.example.com, 2.example.com, 3.example.com, 4.example.com, 5.example.com and 2 more"},
		"both": {
			k, registry.Consumer{Namespace: ns, ServiceAccount: "nope", PullSecrets: []string{"nope", "empty"}},
			"secret NS/nope does not exist; empty is for no registry; service account NS/nope does not exist",
		},
	} {
		_, err := tt.keychain.Credential(t.Context(), registry.Request{Host: registryHost, Repository: "app", Consumer: tt.consumer})
		want := strings.ReplaceAll(tt.want, "NS", ns) + ": " + registry.ErrAnonymous.Error()
		if !errors.Is(err, registry.ErrAnonymous) || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// TestPullSecretsOfNamespaces: two namespaces with secrets of one name for one
// image never share, and what a keychain may not read it does not ask for.
func TestPullSecretsOfNamespaces(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{})
	a, b, none := makeNamespace(t, target), makeNamespace(t, target), makeNamespace(t, target)
	pullSecret(t, target, a, "pull", "user-of-a", registryHost)
	pullSecret(t, target, b, "pull", "user-of-b", registryHost)
	k, _ := keychainOn(t, kubeconfig)
	limited, _ := keychainOn(t, kubeconfig, a)
	if n := total(p.take()); n != 0 {
		t.Errorf("opening sends %d requests", n)
	}
	var asked []string
	var mu sync.Mutex
	p.set(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		return false
	})
	var wg sync.WaitGroup
	for range 20 {
		for ns, want := range map[string]string{a: "user-of-a", b: "user-of-b", none: "-"} {
			wg.Go(func() {
				if got := userOf(t, k, registryHost, "app", registry.Consumer{Namespace: ns, PullSecrets: []string{"pull", "pull"}}); got != want {
					t.Errorf("%s pulls as %s, want %s", ns, got, want)
				}
			})
		}
	}
	wg.Wait()
	asked = slices.DeleteFunc(asked, func(r string) bool { return path.Base(r) == none }) // is it there? its account may not be yet
	for _, request := range asked {
		name := path.Base(request)
		if !strings.HasPrefix(request, "GET ") || name != "pull" && name != "default" || strings.Contains(request, "?") {
			t.Errorf("asked for %s", request)
		}
	}
	if most := 3 * 20 * 2; len(asked) > most {
		t.Errorf("%d requests, want at most %d: the account and the secret", len(asked), most)
	}
	asked = nil
	for ns, want := range map[string]string{a: "user-of-a", b: "-"} {
		if got := userOf(t, limited, registryHost, "app", registry.Consumer{Namespace: ns, PullSecrets: []string{"pull"}}); got != want {
			t.Errorf("limited to %s, %s pulls as %s, want %s", a, ns, got, want)
		}
	}
	if slices.ContainsFunc(asked, func(r string) bool { return strings.Contains(r, b) }) {
		t.Errorf("asked for what is outside the limit: %v", asked)
	}
	for _, name := range []string{"../../" + b + "/secrets/pull", "..", "%2e%2e"} {
		if got := userOf(t, k, registryHost, "app", registry.Consumer{Namespace: a, PullSecrets: []string{name}}); strings.HasPrefix(got, "user") {
			t.Errorf("the name %q leads to %s", name, got)
		}
	}
}

// TestBrokenPullSecrets: what is broken is named, hides nothing, and does not
// turn into "anonymous".
func TestBrokenPullSecrets(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	rawSecret(t, target, ns, "typo", pullsecret.TypeDockercfg, ".dockercfg", `{"registry.example.com:5000":{"auth":"pl4nted-secret"}}`)
	rawSecret(t, target, ns, "opaque", "Opaque", ".dockerconfigjson", `{"auths":{"pl4nted-secret":{}}}`)
	pullSecret(t, target, ns, "fine", "fine", registryHost)
	pullSecret(t, target, ns, "forbidden", "forbidden", registryHost)
	p.set(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if path.Base(r.URL.Path) != "forbidden" {
			return false
		}
		apiStatus(w, http.StatusForbidden, "Forbidden")
		return true
	})
	for _, tt := range []struct {
		secret, why string
		elsewhere   string // who pulls from another host
	}{
		{"typo", "pull secrets of namespace " + ns + ": the entry for registry.example.com:5000 cannot be used: its auth is not base64", "-"},
		{"opaque", "pull secret " + ns + `/opaque: its type is "Opaque"`, "error"},
		{"forbidden", "pull secret " + ns + "/forbidden: injected", "error"},
	} {
		k, log := keychainOn(t, kubeconfig)
		both := registry.Consumer{Namespace: ns, ServiceAccount: "none", PullSecrets: []string{tt.secret, "fine"}}
		if got := userOf(t, k, registryHost, "app", both); got != "fine" {
			t.Errorf("%s and another: %s, want fine", tt.secret, got)
		}
		alone := registry.Consumer{Namespace: ns, ServiceAccount: "none", PullSecrets: []string{tt.secret}}
		got := userOf(t, k, registryHost, "app", alone)
		if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, tt.why) {
			t.Errorf("%s alone: %s, want an error with %q", tt.secret, got, tt.why)
		}
		if got := userOf(t, k, "other.example.com", "app", alone); !strings.HasPrefix(got, tt.elsewhere) {
			t.Errorf("%s for another host: %s, want %s", tt.secret, got, tt.elsewhere)
		}
		if n := strings.Count(strings.ReplaceAll(log.String(), `\"`, `"`), tt.why); n < 2 {
			t.Errorf("%s: the log says %d times why:\n%s", tt.secret, n, log)
		}
		if text := got + log.String(); strings.Contains(text, "pl4nted-secret") || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("pl4nted-secret"))) {
			t.Errorf("%s: the secret is told: %s", tt.secret, text)
		}
	}
}

// TestCredentialConformance runs the SDK's suite for providers.
func TestCredentialConformance(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	pullSecret(t, target, ns, "pull", "somebody", registryHost, "*.example.org")
	consumer := registry.Consumer{Namespace: ns, ServiceAccount: "default", PullSecrets: []string{"pull"}}
	sdktest.Registry(t, plugin(), "kubernetes", map[string]any{"kubeconfig": os.Getenv(kubeconfigVariable)}, []registry.Request{
		{Host: registryHost, Repository: "team/app", Consumer: consumer},
		{Host: "eu.example.org", Repository: "app", Consumer: consumer},
	})
}
