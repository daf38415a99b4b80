package config

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

const (
	defaultScanInterval = 5 * time.Minute
	defaultImageCache   = 256 << 20
	minImageCache       = 1 << 20

	defaultRegistryRPS   = 50
	defaultRegistryBurst = 10
	defaultReserve       = 30
)

var (
	imagesSchema = schema.Schema{Attributes: []schema.Attribute{
		{Name: "scan"}, {Name: "interval"}, {Name: "include"}, {Name: "exclude"}, {Name: "trust_labels"}, {Name: "cache_size"},
	}}
	registrySchema = schema.Schema{Attributes: []schema.Attribute{
		{Name: "endpoint"}, {Name: "insecure"}, {Name: "ca_file"}, {Name: "cert_file"}, {Name: "key_file"},
		{Name: "rps"}, {Name: "burst"}, {Name: "reserve"}, {Name: "api"},
	}}
)

// Images says which images are looked for in their registries, and how often.
type Images struct {
	Scan        string        // "automated", "all" or "none"
	Interval    time.Duration // between two looks at a repository that changes
	Include     []string      // patterns of repositories with their host; nil: all
	Exclude     []string      // wins over Include
	TrustLabels []string      // patterns of repositories whose labels tell when an image was made
	CacheSize   int64         // bytes
}

// Registry is a registry block: how the registries of some hosts are reached.
type Registry struct {
	Host     string        // as in an image's name, with port; * stands for anything
	Endpoint string        // URL to talk to instead of https://HOST, "" for that
	Insecure bool          // plain HTTP is allowed
	CA       []byte        // PEM; nil: the system's
	Cert     []byte        // PEM of a client certificate; nil: none
	Key      secret.Secret // PEM of its key
	RPS      float64       // most requests in a second
	Burst    int           // most at once
	Reserve  float64       // percentage of a pull quota that is left to others
	API      string        // how tags are listed with times: "", "generic", "google", "dockerhub", "quay" or "harbor"
	Range    diag.Range
}

// DefaultRegistry is what holds for a host without a registry block.
var DefaultRegistry = Registry{Host: "*", RPS: defaultRegistryRPS, Burst: defaultRegistryBurst, Reserve: defaultReserve}

func (l *loader) loadImages(a *arguments) {
	l.cfg.Images = Images{
		Scan:        a.oneOf("scan", "automated", "automated", "all", "none"),
		Interval:    a.duration("interval", defaultScanInterval, minInterval),
		Include:     a.patterns("include"),
		Exclude:     a.patterns("exclude"),
		TrustLabels: a.patterns("trust_labels"),
		CacheSize:   a.bytes("cache_size", defaultImageCache, minImageCache),
	}
}

// registryHost is a host with an optional port, in which * may stand for
// anything.
var registryHost = regexp.MustCompile(`^[A-Za-z0-9.*_-]+(:([0-9]{1,5}|\*))?$|^\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?$`)

func (l *loader) loadRegistry(b *hclsyntax.Block) {
	a := l.arguments(b, registrySchema, scope{})
	host := b.Labels[0]
	if !registryHost.MatchString(host) {
		l.errorf(b.LabelRanges[0], "Wrong registry host",
			"%q is no host of a registry: write it as in an image's name, such as \"quay.io\", \"registry.example.com:5000\" or \"*.example.com\".", host)
	}
	r := Registry{
		Host:     strings.ToLower(host),
		Endpoint: a.endpoint("endpoint"),
		Insecure: a.bool("insecure", false),
		CA:       a.certificates("ca_file"),
		RPS:      a.number("rps", defaultRegistryRPS, 1.0/60, 10_000),
		Burst:    int(a.number("burst", defaultRegistryBurst, 1, 10_000)),
		Reserve:  a.number("reserve", defaultReserve, 0, 100),
		API:      a.oneOf("api", "", "generic", "google", "dockerhub", "quay", "harbor"),
		Range:    toRange(b.DefRange()),
	}
	r.Cert, r.Key = a.keyPair("cert_file", "key_file")
	if strings.HasPrefix(r.Endpoint, "http://") && !r.Insecure {
		l.errorf(a.at("endpoint"), "Plain HTTP", "Credentials would travel in the clear. Write https://, or allow it with insecure = true.")
	}
	l.cfg.Registries = append(l.cfg.Registries, r)
}

// imagePattern is a pattern of repositories with their host, in which * may
// stand for anything; without one, there is a host and a path.
var imagePattern = regexp.MustCompile(`^[A-Za-z0-9._*-]+(:[0-9*]+)?(/[a-z0-9._*-]+)+$|^[A-Za-z0-9._-]*\*[A-Za-z0-9._*-]*(:[0-9*]+)?$`)

// patterns returns a list of patterns; nil if there is none.
func (a *arguments) patterns(name string) []string {
	return texts(a.matching(name, checkRepository))
}

func checkRepository(s string) string {
	if imagePattern.MatchString(s) {
		return ""
	}
	return "write host and repository without tag, such as \"quay.io/acme/web\", or \"quay.io/acme/*\" for many"
}

func (a *arguments) bytes(name string, def, least int64) int64 {
	v, at, ok := a.value(name, cty.String)
	if !ok {
		return def
	}
	n, err := schema.ParseBytes(plain(v))
	switch {
	case err != nil:
		a.l.errorf(at, "Not a size", "%s is not a size. Write a number and a unit, such as \"64MiB\" or \"1.5GB\".", a.l.show(v))
		return def
	case n < least:
		a.l.errorf(at, "Size too small", "%q must be at least %d MiB.", name, least>>20)
		return def
	}
	return n
}

func (a *arguments) number(name string, def, least, most float64) float64 {
	v, at, ok := a.value(name, cty.Number)
	if !ok {
		return def
	}
	v, _ = v.Unmark()
	n, _ := v.AsBigFloat().Float64()
	if n < least || n > most {
		a.l.errorf(at, "Number out of range", "%q is a number from %.3g to %.6g.", name, least, most)
		return def
	}
	return n
}

// endpoint returns an http or https URL without a slash at its end.
func (a *arguments) endpoint(name string) string {
	s := a.string(name, "")
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		a.l.errorf(a.at(name), "Wrong URL", "%q is an http or https URL without user and query, such as \"https://mirror.example.com/quay\".", name)
		return ""
	}
	return strings.TrimRight(s, "/")
}

// certificates reads a file of PEM certificates.
func (a *arguments) certificates(name string) []byte {
	data := a.read(name)
	if data != nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
		a.l.errorf(a.at(name), "No certificates", "The file of %q holds no certificate in PEM form.", name)
		return nil
	}
	return data
}

// keyPair reads a certificate and its key.
func (a *arguments) keyPair(certName, keyName string) (cert []byte, key secret.Secret) {
	cert, keyPEM := a.read(certName), a.read(keyName)
	switch {
	case cert == nil && keyPEM == nil:
		return nil, secret.Secret{}
	case a.attrs[certName] == nil || a.attrs[keyName] == nil:
		a.l.errorf(a.header, "Half a client certificate", "%q and %q go together.", certName, keyName)
		return nil, secret.Secret{}
	case cert == nil || keyPEM == nil:
		return nil, secret.Secret{} // not readable, which has been said
	}
	if _, err := tls.X509KeyPair(cert, keyPEM); err != nil {
		a.l.errorf(a.at(certName), "Wrong client certificate", "%q and %q are no certificate with its key, both in PEM form.", certName, keyName)
		return nil, secret.Secret{}
	}
	return cert, secret.New(string(keyPEM))
}

// read returns the content of the file that the argument names, nil without
// one. The configuration depends on it even if it does not exist yet.
func (a *arguments) read(name string) []byte {
	path := a.path(name)
	if path == "" {
		return nil
	}
	a.l.cfg.read[path] = struct{}{}
	data, err := readFile(path, maxReadFile)
	if err != nil {
		a.l.errorf(a.at(name), "Cannot read a file", "%s: %s.", path, strings.ToLower(sentence(err)))
		return nil
	}
	return data
}
