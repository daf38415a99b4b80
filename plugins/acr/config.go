package main

import (
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Config is the plugin's part of a `registry_credential "acr"` block.
type Config struct {
	Identity            string        `hcl:"identity,optional" default:"auto" enum:"auto,service_principal,workload_identity,managed_identity" doc:"Who Sluice is for Azure. auto: what the other arguments or else the environment speak for, in this order; managed identity otherwise."`
	TenantID            string        `hcl:"tenant_id,optional" doc:"Tenant of a service principal or workload identity. Default: AZURE_TENANT_ID."`
	ClientID            string        `hcl:"client_id,optional" doc:"Client ID of a service principal, a workload identity or a user-assigned managed identity. Default: AZURE_CLIENT_ID."`
	ClientSecret        secret.Secret `hcl:"client_secret,optional" doc:"Secret of a service principal. Default: AZURE_CLIENT_SECRET."`
	CertificateFile     string        `hcl:"certificate_file,optional" format:"path" doc:"Certificate and key of a service principal, in PEM or PKCS#12 format. Read for each token. Default: AZURE_CLIENT_CERTIFICATE_PATH."`
	CertificatePassword secret.Secret `hcl:"certificate_password,optional" doc:"Password of certificate_file. Default: AZURE_CLIENT_CERTIFICATE_PASSWORD."`
	TokenFile           string        `hcl:"token_file,optional" format:"path" doc:"File with the service account token of a workload identity. Read for each token. Default: AZURE_FEDERATED_TOKEN_FILE."`
	AuthorityHost       string        `hcl:"authority_host,optional" format:"url" doc:"https URL of Microsoft Entra ID. Default: AZURE_AUTHORITY_HOST, or that of the registry's cloud."`
	Audience            string        `hcl:"audience,optional" default:"https://containerregistry.azure.net" format:"url" doc:"What Azure's access token is made out to. Some registries want the URL of Azure Resource Manager."`
	Hosts               []string      `hcl:"hosts,optional" doc:"More registry hosts to answer for, as host or host:port, for example custom domains; they have to stand in match, too. They get an access token for registries."`
	Endpoint            string        `hcl:"endpoint,optional" format:"url" doc:"URL to exchange tokens and list tags at instead of https:// and the registry's host, for example a proxy where Azure cannot be reached."`
	CAFile              string        `hcl:"ca_file,optional" format:"path" doc:"PEM file with authorities to trust, besides the system's."`
	Timeout             time.Duration `hcl:"timeout,optional" default:"30s" doc:"Time to get one credential, with all that it takes."`
}

// Validate checks what the schema cannot say.
func (c *Config) Validate() diag.List {
	l := c.validateIdentity()
	for i, h := range c.Hosts {
		if !validHost(h) {
			d := diag.Errorf(diag.Attr("hosts", i), "%q is not a registry host", h)
			d.Detail = "Hosts are written as host or host:port, without a scheme, a path or a pattern."
			l = append(l, d)
		}
	}
	if c.AuthorityHost != "" && !baseURL(c.AuthorityHost, "https") {
		d := diag.Errorf(diag.Attr("authority_host"), "authority_host is not an https URL of a host")
		d.Detail = "For example https://login.microsoftonline.us/."
		l = append(l, d)
	}
	if !baseURL(c.Audience, "https", "api") {
		l = append(l, diag.Errorf(diag.Attr("audience"), "audience is not a URL of a host"))
	}
	switch {
	case c.Endpoint == "":
	case !baseURL(c.Endpoint, "https", "http"):
		l = append(l, diag.Errorf(diag.Attr("endpoint"), "endpoint is not an http or https URL of a host"))
	case strings.HasPrefix(c.Endpoint, "http:") && !loopback(c.Endpoint):
		d := diag.Errorf(diag.Attr("endpoint"), "the tokens would go over the network in clear text")
		d.Detail = "Use https; http is for a proxy on this machine."
		l = append(l, d)
	}
	if c.Timeout < time.Second {
		l = append(l, diag.Errorf(diag.Attr("timeout"), "timeout is shorter than a second"))
	}
	return l
}

// validateIdentity checks that the arguments speak for one identity.
func (c *Config) validateIdentity() diag.List {
	var l diag.List
	var set []string
	belongs := map[string]string{"client_secret": servicePrincipal, "certificate_file": servicePrincipal, "token_file": workloadIdentity}
	for _, a := range []struct {
		name string
		set  bool
	}{{"client_secret", !c.ClientSecret.IsZero()}, {"certificate_file", c.CertificateFile != ""}, {"token_file", c.TokenFile != ""}} {
		if !a.set {
			continue
		}
		set = append(set, a.name)
		switch {
		case len(set) > 1:
			l = append(l, diag.Errorf(diag.Attr(a.name), "%s and %s exclude each other", set[0], a.name))
		case c.Identity != automatic && c.Identity != belongs[a.name]:
			l = append(l, diag.Errorf(diag.Attr(a.name), "%s is for %s, and identity is %s", a.name, belongs[a.name], c.Identity))
		}
	}
	if !c.CertificatePassword.IsZero() && c.CertificateFile == "" {
		l = append(l, diag.Errorf(diag.Attr("certificate_password"), "certificate_password needs certificate_file"))
	}
	for _, id := range []struct{ name, value string }{{"tenant_id", c.TenantID}, {"client_id", c.ClientID}} {
		if strings.ContainsFunc(id.value, func(r rune) bool { return r != '.' && !isLabelRune(r) }) {
			l = append(l, diag.Errorf(diag.Attr(id.name), "%q is neither a GUID nor a domain", id.value))
		}
	}
	return l
}

// baseURL reports whether s is a URL of one of the schemes, with a host and
// nothing that could not stand in front of a path.
func baseURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	for _, scheme := range schemes {
		if u.Scheme == scheme {
			return true
		}
	}
	return false
}

func loopback(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}
