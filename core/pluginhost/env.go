package pluginhost

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A plugin sees these variables of the host and no others, besides the groups
// below and what the user's `plugin "x" { env = {...} }` declares. HOME and
// TMPDIR are directories of its own. All plugins run as the host's user: this
// is hygiene, not a sandbox.
var baseEnv = []string{
	"PATH", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy",
}

// kubernetesEnv goes to plugins that act on a cluster. With the user's own
// HOME they find ~/.kube/config, and the credential helpers that a kubeconfig
// names find theirs.
var kubernetesEnv = []string{"HOME", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}

// cloudEnv goes to plugins that authenticate to clouds and registries: what
// the clouds' own SDKs read. A name that ends in * is a prefix.
var cloudEnv = []string{
	"HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR",
	"AWS_*", "GOOGLE_*", "GCE_METADATA_*", "CLOUDSDK_*", "AZURE_*",
	"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET",
}

// envOfKind is the group of variables that a plugin gets for offering a kind.
// Sources get none: what reaches a repository is in their configuration, so
// SSH_AUTH_SOCK and the user's git and ssh files are not theirs to see.
var envOfKind = map[string][]string{
	"applier":             append(slices.Clone(kubernetesEnv), cloudEnv...),
	"helm":                append(slices.Clone(kubernetesEnv), cloudEnv...),
	"registry_credential": cloudEnv,
}

// pluginEnv builds the environment of a plugin: from host (as os.Environ)
// what its kinds allow, home and tmp, and on top of all declared.
func pluginEnv(host []string, kinds []string, declared map[string]string, home, tmp string) []string {
	env := map[string]string{}
	for _, kv := range host {
		name, value, _ := strings.Cut(kv, "=")
		if allowed(name, kinds) {
			env[name] = value
		}
	}
	if _, own := env["HOME"]; !own {
		env["HOME"] = home
	}
	env["TMPDIR"] = tmp
	maps.Copy(env, declared)
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

func allowed(name string, kinds []string) bool {
	match := func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, prefix)
	}
	return slices.ContainsFunc(baseEnv, match) || slices.ContainsFunc(kinds, func(kind string) bool {
		return slices.ContainsFunc(envOfKind[kind], match)
	})
}

// checkDeclaredEnv refuses variables that would break the protocol.
func checkDeclaredEnv(plugin string, env map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(env[name], "\x00"):
			return fmt.Errorf("plugin %q: %q cannot be an environment variable", plugin, name)
		case strings.HasPrefix(name, "PLUGIN_") || strings.HasPrefix(name, "SLUICE_PLUGIN"):
			return fmt.Errorf("plugin %q: the environment variable %s belongs to the host", plugin, name)
		}
	}
	return nil
}

// secretsIn returns the values of variables that go by the name of a secret.
func secretsIn(env map[string]string) []string {
	var values []string
	for name, value := range env {
		name = strings.ToUpper(name)
		for _, word := range []string{"SECRET", "TOKEN", "PASSWORD", "PASSWD", "KEY", "CREDENTIAL", "AUTH"} {
			if strings.Contains(name, word) {
				values = append(values, value)
				break
			}
		}
	}
	return values
}

// pluginDirs makes the directories that a plugin finds in HOME and TMPDIR. The
// second is for one process only, to be removed after it.
func pluginDirs(dataDir, plugin string) (home, tmp string, err error) {
	base := filepath.Join(dataDir, "plugins", plugin)
	home, tmp = filepath.Join(base, "home"), filepath.Join(base, "tmp")
	for _, dir := range []string{home, tmp} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", "", fmt.Errorf("directory of the plugin: %w", err)
		}
	}
	if tmp, err = os.MkdirTemp(tmp, "run"); err != nil {
		return "", "", fmt.Errorf("directory of the plugin: %w", err)
	}
	return home, tmp, nil
}
