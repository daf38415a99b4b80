package main

import (
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Config is the plugin's part of a `source "git"` block.
type Config struct {
	URL    string `hcl:"url" doc:"Where the repository is: https://, http://, ssh:// or file:// URL, user@host:path, or an absolute path. Without a password."`
	Branch string `hcl:"branch,optional" doc:"Branch to follow. If branch, tag and commit are all left out: the repository's default branch, also when it changes."`
	Tag    string `hcl:"tag,optional" doc:"Tag to follow. If the tag is moved, the source moves."`
	Commit string `hcl:"commit,optional" doc:"Commit to stay at: its full hash."`

	StallTimeout time.Duration `hcl:"stall_timeout,optional" default:"30s" doc:"Give up an exchange when the server is silent for this long. The time for a whole call is the source's timeout."`
	Transport    string        `hcl:"transport,optional" default:"auto" enum:"auto,git,go-git" doc:"What talks to the server: the git program (and ssh), the built-in implementation, or auto: the programs if they are installed, and over http the built-in one for commits that have lost a race."`

	Auth *Auth `hcl:"auth,block" doc:"Credentials for http and https."`
	SSH  *SSH  `hcl:"ssh,block" doc:"Key and host keys for ssh."`
	TLS  *TLS  `hcl:"tls,block" doc:"Certificates for https."`

	Write *Write `hcl:"write,block" doc:"Lets image updates, releases and markers be written to the repository. Without it the source only reads."`
}

// Write says how commits and tags are made.
type Write struct {
	Author        string `hcl:"author,optional" default:"Sluice <sluice@localhost>" doc:"Author of commits for which nobody else is known, as \"Name <mail>\"."`
	Committer     string `hcl:"committer,optional" doc:"Committer of commits and tagger of markers, as \"Name <mail>\". Default: the author."`
	CISkip        bool   `hcl:"ci_skip,optional" doc:"Add ci_skip_message to each commit message."`
	CISkipMessage string `hcl:"ci_skip_message,optional" default:"[ci skip]" doc:"Text that keeps the CI system from building a commit."`

	Sign *Sign `hcl:"sign,block" doc:"Signs commits and markers."`
}

// Sign holds the key for signatures.
type Sign struct {
	Key        secret.Secret `hcl:"key,optional" doc:"Private key: for ssh, in OpenSSH or PEM format, or an armored OpenPGP key."`
	KeyFile    string        `hcl:"key_file,optional" format:"path" doc:"File that holds the private key. Read for each commit."`
	Passphrase secret.Secret `hcl:"passphrase,optional" doc:"Passphrase of the private key."`
}

// Auth holds what http and https servers ask for.
type Auth struct {
	Username string        `hcl:"username,optional" doc:"User name for password; with token only where the server wants a certain one."`
	Password secret.Secret `hcl:"password,optional" doc:"Password of username."`
	Token    secret.Secret `hcl:"token,optional" doc:"Access token of a forge, sent as the password of basic authentication."`
	Bearer   secret.Secret `hcl:"bearer,optional" doc:"Token that is sent as \"Authorization: Bearer\". Redirects are not followed with it."`
}

// SSH holds the private key and the servers' public ones.
type SSH struct {
	Key            secret.Secret `hcl:"key,optional" doc:"Private key, in OpenSSH or PEM format."`
	KeyFile        string        `hcl:"key_file,optional" format:"path" doc:"File that holds the private key. Read again when the server refuses the key."`
	KeySecret      string        `hcl:"key_secret,optional" doc:"Name of a Kubernetes Secret, as name or namespace/name, that holds the private key under \"identity\" and, optionally, host keys under \"known_hosts\". Read through the default applier, and again when the server refuses the key."`
	Passphrase     secret.Secret `hcl:"passphrase,optional" doc:"Passphrase of the private key."`
	KnownHosts     string        `hcl:"known_hosts,optional" doc:"Host keys, as lines of a known_hosts file (the output of ssh-keyscan). For a host that stands here, the built-in keys do not count."`
	KnownHostsFile string        `hcl:"known_hosts_file,optional" format:"path" doc:"File with such lines. Read at each connection."`
}

// TLS names files with certificates.
type TLS struct {
	CAFile   string `hcl:"ca_file,optional" format:"path" doc:"PEM file with the authorities to trust, instead of the system's."`
	CertFile string `hcl:"cert_file,optional" format:"path" doc:"PEM file with a client certificate."`
	KeyFile  string `hcl:"key_file,optional" format:"path" doc:"PEM file with the client certificate's key."`
}

// Validate checks what the schema cannot say.
func (c *Config) Validate() diag.List {
	l := c.validateRef()
	if c.StallTimeout < time.Second {
		l = append(l, diag.Errorf(diag.Attr("stall_timeout"), "stall_timeout is shorter than a second"))
	}
	address, err := remote.ParseAddress(c.URL)
	if err != nil {
		return append(l, diag.Errorf(diag.Attr("url"), "%s", err)) // what goes with it cannot be told
	}
	l = append(l, c.validateAuth(address)...)
	l = append(l, c.validateSSH(address)...)
	l = append(l, c.validateWrite()...)
	return append(l, c.validateTLS(address)...)
}

func (c *Config) validateRef() diag.List {
	var l diag.List
	var set []string
	for _, a := range []struct{ name, value string }{{"branch", c.Branch}, {"tag", c.Tag}, {"commit", c.Commit}} {
		if a.value == "" {
			continue
		}
		set = append(set, a.name)
		if len(set) > 1 {
			d := diag.Errorf(diag.Attr(a.name), "%s and %s exclude each other", set[0], a.name)
			d.Detail = "A source follows one branch, one tag, or one commit. Keep one of them; without any it follows the default branch."
			l = append(l, d)
		}
		if a.name != "commit" && !validRefName(a.value) {
			d := diag.Errorf(diag.Attr(a.name), "%q is not the name of a %s", a.value, a.name)
			if strings.HasPrefix(a.value, "refs/") {
				d.Detail = "Leave out the refs/heads/ or refs/tags/ in front."
			}
			l = append(l, d)
		}
	}
	if c.Commit != "" && !plumbing.IsHash(strings.ToLower(c.Commit)) {
		d := diag.Errorf(diag.Attr("commit"), "%q is not a full commit hash", c.Commit)
		d.Detail = "A commit is named by all 40 hexadecimal digits (git rev-parse COMMIT); shortened ones may become ambiguous."
		l = append(l, d)
	}
	return l
}

// validRefName follows git check-ref-format, for a name without refs/.
func validRefName(name string) bool {
	if strings.HasPrefix(name, "refs/") || strings.HasPrefix(name, "-") || name == "@" || strings.Contains(name, "@{") ||
		strings.Contains(name, "..") || strings.HasSuffix(name, ".") || strings.ContainsAny(name, " ~^:?*[\\\x7f") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' })
}

func (c *Config) validateAuth(a remote.Address) diag.List {
	if c.Auth == nil {
		return nil
	}
	at := diag.Attr("auth")
	if !a.IsHTTP() {
		return diag.List{misplaced(at, "auth", "http and https", a)}
	}
	var set []string
	for _, s := range []struct {
		name  string
		value secret.Secret
	}{{"password", c.Auth.Password}, {"token", c.Auth.Token}, {"bearer", c.Auth.Bearer}} {
		if s.value.IsZero() {
			continue
		}
		set = append(set, s.name)
		if strings.ContainsAny(strings.TrimRight(s.value.Reveal(), "\r\n"), "\r\n\x00") {
			return diag.List{diag.Errorf(diag.Attr("auth", s.name), "auth.%s holds more than one line", s.name)}
		}
	}
	switch {
	case len(set) == 0:
		d := diag.Errorf(at, "auth needs password, token or bearer")
		d.Detail = "Set username and password, or token alone. An empty value, for example of an unset variable, counts as not set."
		return diag.List{d}
	case len(set) > 1:
		return diag.List{diag.Errorf(diag.Attr("auth", set[1]), "auth.%s and auth.%s exclude each other", set[0], set[1])}
	case set[0] == "password" && c.Auth.Username == "" && a.User == "":
		return diag.List{diag.Errorf(diag.Attr("auth", "password"), "auth.password needs auth.username")}
	case strings.ContainsAny(c.Auth.Username, "\r\n\x00:"):
		return diag.List{diag.Errorf(diag.Attr("auth", "username"), "auth.username holds a colon or a control character")}
	case a.Scheme == "http" && !loopback(a.Host):
		d := diag.Warningf(diag.Attr("url"), "the credentials go over the network in clear text")
		d.Detail = "Use https."
		return diag.List{d}
	}
	return nil
}

func (c *Config) validateSSH(a remote.Address) diag.List {
	if a.Scheme != "ssh" {
		if c.SSH != nil {
			return diag.List{misplaced(diag.Attr("ssh"), "ssh", "ssh", a)}
		}
		return nil
	}
	if c.SSH == nil {
		d := diag.Errorf(diag.Attr("url"), "an ssh url needs an ssh block with a key")
		d.Detail = `For example: ssh { key_file = "/etc/sluice/id_ed25519" }, or key_secret with the name of a Kubernetes Secret. Keys of the user who runs the daemon, and of an ssh agent, are not used.`
		return diag.List{d}
	}
	keys := 0
	for _, set := range []bool{!c.SSH.Key.IsZero(), c.SSH.KeyFile != "", c.SSH.KeySecret != ""} {
		if set {
			keys++
		}
	}
	var l diag.List
	switch {
	case keys == 0:
		l = append(l, diag.Errorf(diag.Attr("ssh"), "ssh needs key, key_file or key_secret"))
	case keys > 1:
		l = append(l, diag.Errorf(diag.Attr("ssh"), "ssh has more than one of key, key_file and key_secret"))
	case !c.SSH.Key.IsZero():
		if _, err := remote.ParseKey(c.SSH.Key, c.SSH.Passphrase); err != nil {
			l = append(l, diag.Errorf(diag.Attr("ssh", "key"), "%s", err))
		}
	}
	if s := c.SSH.KeySecret; strings.Count(s, "/") > 1 || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
		l = append(l, diag.Errorf(diag.Attr("ssh", "key_secret"), "%q is not the name of a Secret, nor namespace/name", s))
	}
	if err := remote.CheckKnownHosts(c.SSH.KnownHosts); err != nil {
		l = append(l, diag.Errorf(diag.Attr("ssh", "known_hosts"), "%s", err))
	}
	return l
}

func (c *Config) validateTLS(a remote.Address) diag.List {
	switch {
	case c.TLS == nil:
		return nil
	case a.Scheme != "https":
		return diag.List{misplaced(diag.Attr("tls"), "tls", "https", a)}
	case c.TLS.CertFile != "" && c.TLS.KeyFile == "":
		return diag.List{diag.Errorf(diag.Attr("tls", "cert_file"), "tls.cert_file needs tls.key_file")}
	case c.TLS.KeyFile != "" && c.TLS.CertFile == "":
		return diag.List{diag.Errorf(diag.Attr("tls", "key_file"), "tls.key_file needs tls.cert_file")}
	}
	return nil
}

func misplaced(at diag.Path, block, schemes string, a remote.Address) diag.Diagnostic {
	d := diag.Errorf(at, "%s is for %s, and the url is a %s address", block, schemes, a.Scheme)
	d.Detail = "Remove the block or change the url."
	return d
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}
