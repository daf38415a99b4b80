package main

import (
	"regexp"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Config is the plugin's part of a `renderer "exec"` block.
type Config struct {
	Timeout    time.Duration            `hcl:"command_timeout,optional" default:"1m" doc:"Kill a command that runs longer. A timeout of a command in .flux.yaml goes before; the timeout of the block ends both."`
	Env        map[string]secret.Secret `hcl:"env,optional" doc:"Environment variables for the commands, beside PATH, LANG, and a HOME and TMPDIR of their own."`
	Shell      []string                 `hcl:"shell,optional" default:"[\"/bin/sh\", \"-c\"]" doc:"What runs a command, which is its last argument. [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"] makes a pipe fail with any of its parts."`
	AllowEmpty bool                     `hcl:"allow_empty,optional" doc:"Whether a generator may print nothing. If not, that is an error: as a rule, something before a pipe has failed."`
	MaxOutput  int64                    `hcl:"max_output,optional" format:"bytes" default:"67108864" doc:"Fail a generator that prints more."`
}

// shortestTimeout is what Flux v1 takes for a timeout at all.
const shortestTimeout = time.Second

// Validate checks what the schema cannot say.
func (c *Config) Validate() diag.List {
	var l diag.List
	if c.Timeout < shortestTimeout {
		l = append(l, diag.Errorf(diag.Attr("command_timeout"), "command_timeout is shorter than a second"))
	}
	if c.MaxOutput < 1 {
		l = append(l, diag.Errorf(diag.Attr("max_output"), "max_output is less than a byte"))
	}
	if len(c.Shell) == 0 || !strings.HasPrefix(c.Shell[0], "/") {
		l = append(l, diag.Errorf(diag.Attr("shell"), "shell does not begin with the absolute path of a program"))
	}
	for name, value := range c.Env {
		switch {
		case !variable.MatchString(name):
			l = append(l, diag.Errorf(diag.Attr("env"), "%q is not the name of an environment variable", name))
		case strings.HasPrefix(name, "FLUX_"):
			l = append(l, diag.Errorf(diag.Attr("env"), "%s: variables that begin with FLUX_ tell updaters what to do", name))
		case strings.Contains(value.Reveal(), "\x00"):
			l = append(l, diag.Errorf(diag.Attr("env"), "the value of %s holds a zero byte", name))
		}
	}
	return l
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
