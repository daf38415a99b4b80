package config

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// accessAttributes are the arguments of what has an Access.
var accessAttributes = []schema.Attribute{{Name: "username"}, {Name: "password"}, {Name: "ca"}, {Name: "cert"}, {Name: "key"}}

// Access is what it takes to be served at a URL. Empty parts are not needed.
type Access struct {
	Username string
	Password secret.Secret
	CA       string        // PEM, instead of the system's
	Cert     string        // PEM of a client certificate
	Key      secret.Secret // PEM of its key
}

// Secrets returns the sensitive strings of a, for scrubbing.
func (a Access) Secrets() []string {
	var list []string
	for _, s := range []secret.Secret{a.Password, a.Key} {
		if !s.IsZero() {
			list = append(list, s.Reveal())
		}
	}
	return list
}

// access returns what it takes to be served at to, which the argument what holds.
func (a *arguments) access(what, to string) Access {
	access := Access{
		Username: a.string("username", ""),
		Password: a.secret("password"),
		CA:       a.string("ca", ""),
		Cert:     a.string("cert", ""),
		Key:      a.secret("key"),
	}
	if (access.Username == "") != access.Password.IsZero() && a.absent("username") != a.absent("password") {
		a.l.errorf(a.header, "Half a login", "%q and %q go together.", "username", "password")
	}
	if access.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(access.CA)) {
		a.l.errorf(a.at("ca"), "No certificates", "%q takes the text of certificates in PEM form: write file(\"ca.pem\").", "ca")
	}
	a.checkPair(access)
	if plain := strings.HasPrefix(to, "http://"); plain && !access.Password.IsZero() {
		a.l.errorf(a.at(what), "Plain HTTP", "The password would travel in the clear. Write https://.")
	}
	return access
}

// checkPair checks the client certificate and its key.
func (a *arguments) checkPair(access Access) {
	switch {
	case a.absent("cert") && a.absent("key"):
	case a.absent("cert") != a.absent("key"):
		a.l.errorf(a.header, "Half a client certificate", "%q and %q go together.", "cert", "key")
	case access.Cert == "" || access.Key.IsZero():
		// Their expressions failed, which is reported, or are empty on purpose.
	default:
		if _, err := tls.X509KeyPair([]byte(access.Cert), []byte(access.Key.Reveal())); err != nil {
			a.l.errorf(a.at("cert"), "Wrong client certificate", "%q and %q are no certificate with its key, both the text of PEM files: write file(\"client.pem\").", "cert", "key")
		}
	}
}

// secret returns the argument, whose text is never shown.
func (a *arguments) secret(name string) secret.Secret {
	attr := a.attrs[name]
	if attr == nil {
		return secret.Secret{}
	}
	a.l.maskLiterals(attr.Expr)
	v, _, ok := a.value(name, cty.String)
	if !ok || plain(v) == "" {
		return secret.Secret{}
	}
	a.l.secret(plain(v))
	return secret.New(plain(v))
}

// url returns the argument, a URL of one of schemes, without a slash at its
// end. instead says where its credentials go.
func (a *arguments) url(name, instead string, schemes ...string) string {
	v, at, ok := a.value(name, cty.String)
	switch {
	case !ok:
		return ""
	case v.IsMarked():
		a.l.errorf(at, "Secret in the open", "%q is shown in messages and cannot be secret. %s", name, instead)
		return ""
	}
	if problem := checkPlace(v.AsString(), instead, schemes...); problem != "" {
		a.l.errorf(at, "Wrong URL", "The value of %q %s", name, problem)
		return ""
	}
	return strings.TrimRight(v.AsString(), "/")
}

// checkPlace says what is wrong with a URL, without quoting it, since it may
// hold a password.
func checkPlace(s, instead string, schemes ...string) string {
	u, err := url.Parse(s)
	want := schemes[0] + "://"
	for i, scheme := range schemes[1:] {
		sep := ", "
		if i == len(schemes)-2 {
			sep = " or "
		}
		want += sep + scheme + "://"
	}
	switch {
	case err != nil || u.Scheme == "" || u.Opaque != "":
		return "is no URL: it begins with " + want + "."
	case !slices.Contains(schemes, u.Scheme):
		return "is a URL that begins with " + want + ", not " + u.Scheme + "://."
	case u.Host == "" && u.Scheme != "file":
		return "is a URL without a host."
	case u.User != nil && u.Scheme != "ssh":
		return "is shown in messages and cannot hold a user name or password. " + instead
	case u.Fragment != "":
		return "is a URL that ends before the #."
	}
	return ""
}
