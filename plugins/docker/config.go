package main

import (
	"regexp"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// FileConfig is the plugin's part of a `registry_credential "docker_config"`
// block.
type FileConfig struct {
	Path    string                   `hcl:"path,optional" format:"path" doc:"The file: docker's config.json, podman's auth.json, or the .dockerconfigjson of a mounted Secret. Default: the files that docker and podman read."`
	Helpers bool                     `hcl:"helpers,optional" default:"true" doc:"Whether to run the credential helpers that the file names in credHelpers and credsStore."`
	Env     map[string]secret.Secret `hcl:"env,optional" doc:"Environment variables for credential helpers."`
	Inherit []string                 `hcl:"inherit,optional" default:"[\"AWS_*\",\"GOOGLE_*\",\"GCE_METADATA_*\",\"CLOUDSDK_*\",\"AZURE_*\"]" doc:"Environment variables that credential helpers get from the plugin; a * at the end stands for anything."`
	Timeout time.Duration            `hcl:"timeout,optional" default:"30s" doc:"Kill a credential helper that has not answered by then."`
}

// Validate checks what the schema cannot say.
func (c *FileConfig) Validate() diag.List {
	return validateProcess(c.Env, c.Inherit, c.Timeout)
}

// ExecConfig is the plugin's part of a `registry_credential "exec"` block.
type ExecConfig struct {
	Command  []string                 `hcl:"command" doc:"The program, as an absolute path or a name in the PATH, and its arguments. Nothing secret may stand here: every user of the machine can read it."`
	Protocol string                   `hcl:"protocol,optional" default:"docker" enum:"docker,kubelet" doc:"docker: a credential helper, as docker-credential-pass. kubelet: a credential provider, as ecr-credential-provider."`
	Env      map[string]secret.Secret `hcl:"env,optional" doc:"Environment variables for the program."`
	Inherit  []string                 `hcl:"inherit,optional" doc:"Environment variables that the program gets from the plugin, such as \"AWS_*\"; a * at the end stands for anything."`
	Timeout  time.Duration            `hcl:"timeout,optional" default:"30s" doc:"Kill the program if it has not answered by then."`
	Cache    time.Duration            `hcl:"cache,optional" default:"5m" doc:"How long an answer may be used that does not say so itself."`
}

// Validate checks what the schema cannot say.
func (c *ExecConfig) Validate() diag.List {
	l := validateProcess(c.Env, c.Inherit, c.Timeout)
	at := diag.Attr("command")
	switch {
	case len(c.Command) == 0 || c.Command[0] == "":
		l = append(l, diag.Errorf(at, "command names no program"))
	case strings.Contains(c.Command[0], "/") && !strings.HasPrefix(c.Command[0], "/"):
		d := diag.Errorf(at, "%q is neither an absolute path nor a name in the PATH", c.Command[0])
		d.Detail = "The directory in which a plugin runs is no place to rely on."
		l = append(l, d)
	}
	for _, arg := range c.Command {
		if strings.Contains(arg, "\x00") {
			l = append(l, diag.Errorf(at, "command holds a zero byte"))
		}
	}
	if c.Cache < time.Second {
		l = append(l, diag.Errorf(diag.Attr("cache"), "cache is shorter than a second"))
	}
	return l
}

var (
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	inheritPattern  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\*?$`)
)

func validateProcess(env map[string]secret.Secret, inherit []string, timeout time.Duration) diag.List {
	var l diag.List
	for name, value := range env {
		switch {
		case !variablePattern.MatchString(name):
			l = append(l, diag.Errorf(diag.Attr("env"), "%q is not the name of an environment variable", name))
		case strings.Contains(value.Reveal(), "\x00"):
			l = append(l, diag.Errorf(diag.Attr("env"), "the value of %s holds a zero byte", name))
		}
	}
	for _, name := range inherit {
		if !inheritPattern.MatchString(name) {
			l = append(l, diag.Errorf(diag.Attr("inherit"), "%q is neither the name of an environment variable nor the beginning of one with a *", name))
		}
	}
	if timeout < time.Second {
		l = append(l, diag.Errorf(diag.Attr("timeout"), "timeout is shorter than a second"))
	}
	return l
}
