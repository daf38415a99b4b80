package remote

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Address says where a repository is. It never holds a secret.
type Address struct {
	Scheme string // https, http, ssh or file
	User   string // the user of the URL, if any; for ssh never empty
	Host   string // without port and brackets
	Port   string // empty: the scheme's own
	Path   string // for http as it stands in the URL, else decoded
	Short  bool   // user@host:path, whose path may be relative to the user's home
}

var hostName = regexp.MustCompile(`^[\pL\pN._:-]*$`)

var scpLike = regexp.MustCompile(`^(?:([^@:/]+)@)?([^@:/]+):([^:].*)$`)

// ParseAddress reads a URL (https, http, ssh or file), the short form
// user@host:path, or an absolute path. A password in it is refused, since
// addresses end up in logs.
func ParseAddress(raw string) (Address, error) {
	a, err := parseAddress(strings.TrimSpace(raw))
	if err != nil {
		return Address{}, err
	}
	for _, s := range []string{a.User, a.Host, a.Path} {
		// ssh and git would take these for options.
		if strings.HasPrefix(s, "-") {
			return Address{}, errors.New("no part of the url may start with a dash")
		}
	}
	if strings.ContainsFunc(a.User+a.Path, unicode.IsControl) {
		return Address{}, errors.New("the url holds a control character")
	}
	if !hostName.MatchString(a.Host) {
		return Address{}, fmt.Errorf("%q is not a host name", a.Host)
	}
	if strings.TrimSpace(a.Path) != a.Path {
		return Address{}, errors.New("the path starts or ends with a space")
	}
	if strings.Trim(a.Path, "/") == "" {
		return Address{}, errors.New("the url does not name a repository: its path is empty")
	}
	return a, nil
}

func parseAddress(raw string) (Address, error) {
	switch {
	case raw == "":
		return Address{}, errors.New("the url is empty")
	case strings.Contains(raw, "://"):
		return parseURL(raw)
	case filepath.IsAbs(raw):
		return Address{Scheme: "file", Path: filepath.Clean(raw)}, nil
	}
	if m := scpLike.FindStringSubmatch(raw); m != nil {
		a := Address{Scheme: "ssh", User: m[1], Host: m[2], Path: m[3], Short: true}
		if slices.Contains([]string{"http", "https", "ssh", "file"}, strings.ToLower(a.Host)) {
			return Address{}, fmt.Errorf("a %s url has two slashes behind the colon", strings.ToLower(a.Host))
		}
		if a.User == "" {
			a.User = "git"
		}
		return a, nil
	}
	return Address{}, errors.New("neither a url (https://host/path, ssh://git@host/path), git@host:path, nor an absolute path")
}

func parseURL(raw string) (Address, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's message repeats the text, which may hold a password.
		return Address{}, errors.New("the url cannot be parsed")
	}
	if _, has := u.User.Password(); has {
		return Address{}, errors.New("the url holds a password: put it into the auth block")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return Address{}, errors.New("the url has a query or a fragment: name a branch or tag with the branch and tag arguments")
	}
	a := Address{Scheme: strings.ToLower(u.Scheme), User: u.User.Username(), Host: u.Hostname(), Port: u.Port(), Path: u.Path}
	switch a.Scheme {
	case "file":
		if a.Host != "" && a.Host != "localhost" {
			return Address{}, fmt.Errorf("a file url has three slashes: file:///%s%s", a.Host, a.Path)
		}
		if !filepath.IsAbs(a.Path) {
			return Address{}, errors.New("a file url needs an absolute path: file:///srv/repo")
		}
		return Address{Scheme: "file", Path: filepath.Clean(a.Path)}, nil
	case "ssh", "git+ssh":
		a.Scheme = "ssh"
		if a.User == "" {
			a.User = "git"
		}
	case "http", "https":
		a.Path = u.EscapedPath()
	default:
		return Address{}, fmt.Errorf("scheme %q is not supported: use https, http, ssh or file", u.Scheme)
	}
	if a.Host == "" {
		return Address{}, errors.New("the url has no host")
	}
	return a, nil
}

// String returns the address as git takes it, without the user of an http
// URL.
func (a Address) String() string {
	switch {
	case a.Scheme == "file":
		return a.Path
	case a.Short:
		return a.User + "@" + a.Host + ":" + a.Path
	case a.Scheme == "ssh":
		u := url.URL{Scheme: a.Scheme, User: url.User(a.User), Host: a.hostPort(), Path: a.Path}
		return u.String()
	}
	return a.Origin() + a.Path
}

// Origin returns scheme, host and port, the reach of HTTP credentials.
func (a Address) Origin() string { return a.Scheme + "://" + a.hostPort() }

func (a Address) hostPort() string {
	host := a.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if a.Port == "" {
		return host
	}
	return host + ":" + a.Port
}

// dial returns host:port for a TCP connection to an ssh server.
func (a Address) dial() string {
	port := a.Port
	if port == "" {
		port = "22"
	}
	return net.JoinHostPort(a.Host, port)
}

// IsHTTP reports whether the address is reached over http or https.
func (a Address) IsHTTP() bool { return a.Scheme == "http" || a.Scheme == "https" }
