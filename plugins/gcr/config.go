package main

import (
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Config is the plugin's part of a `registry_credential "gcr"` block.
type Config struct {
	KeyFile     string        `hcl:"key_file,optional" format:"path" doc:"Credential file: the key of a service account, a workload identity federation configuration (external_account), or what gcloud writes (authorized_user, impersonated_service_account). If left out: the one that GOOGLE_APPLICATION_CREDENTIALS names, gcloud's application default credentials, or the metadata server. Read for each token."`
	Impersonate string        `hcl:"impersonate,optional" doc:"E-mail address of a service account to act as. The account of the credentials needs the role roles/iam.serviceAccountTokenCreator on it."`
	Hosts       []string      `hcl:"hosts,optional" doc:"More registry hosts that accept Google's access tokens, as host or host:port, for example a proxy in front of Artifact Registry; they have to stand in match, too. They get a token that is good for everything the account may do."`
	Timeout     time.Duration `hcl:"timeout,optional" default:"20s" doc:"Time to get one token, with all that it takes."`
}

// Validate checks what the schema cannot say.
func (c *Config) Validate() diag.List {
	var l diag.List
	if c.Impersonate != "" && !validAccount(c.Impersonate) {
		d := diag.Errorf(diag.Attr("impersonate"), "%q is not the e-mail address of a service account", c.Impersonate)
		d.Detail = `For example "reader@project.iam.gserviceaccount.com".`
		l = append(l, d)
	}
	for i, h := range c.Hosts {
		if !validHost(h) {
			d := diag.Errorf(diag.Attr("hosts", i), "%q is not a registry host", h)
			d.Detail = `Hosts are written as host or host:port, without a scheme, a path or a pattern.`
			l = append(l, d)
		}
	}
	if c.Timeout < time.Second {
		l = append(l, diag.Errorf(diag.Attr("timeout"), "timeout is shorter than a second"))
	}
	return l
}

// validAccount checks what becomes a part of a URL.
func validAccount(email string) bool {
	name, domain, ok := strings.Cut(email, "@")
	return ok && name != "" && strings.Contains(domain, ".") &&
		!strings.ContainsFunc(name+domain, func(r rune) bool { return r != '.' && !isLabelRune(r) })
}

// answersFor reports whether host is one of Google's, or of hosts.
func (c *Config) answersFor(host string) bool {
	host = strings.ToLower(host)
	return isGoogle(host) || slices.ContainsFunc(c.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}
