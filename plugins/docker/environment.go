package main

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

// always are the variables that every program gets, if the plugin has them:
// without these, little works.
var always = []string{
	"PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "DOCKER_CONFIG", "XDG_RUNTIME_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
}

// environment builds that of a program, and the values that no error may
// repeat.
func environment(inherit []string, declared map[string]secret.Secret) (env, hide []string) {
	values := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case slices.Contains(always, name):
			values[name] = value
		case inherits(inherit, name):
			values[name] = value
			hide = append(hide, value)
		}
	}
	for name, value := range declared {
		values[name] = value.Reveal()
		hide = append(hide, value.Reveal())
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, name+"="+values[name])
	}
	return env, hide
}

func inherits(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, open := strings.CutSuffix(p, "*")
		return name == p || open && strings.HasPrefix(name, prefix)
	})
}
