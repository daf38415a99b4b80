package remote

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/limit"
)

const (
	dockerHub         = "index.docker.io"
	dockerHubEndpoint = "https://registry-1.docker.io"
	dockerHubAPI      = "https://hub.docker.com"
)

// target is where the requests for one repository go.
type target struct {
	req  credentials.Request // with the canonical host
	host Host
	base *url.URL
}

func (c *Client) target(req credentials.Request) (*target, error) {
	req.Host = credentials.CanonicalHost(req.Host)
	t := &target{req: req, host: c.opts.Hosts(req.Host)}
	for _, part := range strings.Split(req.Repository, "/") {
		if part == "" || part == "." || part == ".." {
			return nil, fmt.Errorf("%s/%s: this is no name of a repository", req.Host, req.Repository)
		}
	}
	endpoint := t.host.Endpoint
	switch {
	case endpoint != "":
	case req.Host == dockerHub:
		endpoint = dockerHubEndpoint
	case t.host.Insecure:
		endpoint = "http://" + req.Host
	default:
		endpoint = "https://" + req.Host
	}
	base, err := url.Parse(endpoint)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("%s: its endpoint is not a URL", req.Host)
	}
	t.base = base
	return t, t.mayTalkTo(base)
}

// mayTalkTo allows TLS everywhere, and plain HTTP to an insecure host itself.
func (t *target) mayTalkTo(u *url.URL) error {
	if u.Scheme == "https" || u.Scheme == "http" && t.host.Insecure && u.Host == t.base.Host {
		return nil
	}
	return fmt.Errorf("%s: will not talk to %s://%s without TLS (insecure = true in a registry block allows it for the registry's own host)", t.req.Host, u.Scheme, u.Host)
}

// url makes the URL of what is below the repository: "tags/list?n=100".
func (t *target) url(below string) (*url.URL, error) {
	return t.parse(t.base.String() + "/v2/" + escapePath(t.req.Repository) + "/" + below)
}

func (t *target) parse(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", t.req.Host, t.req.Repository, bare(err))
	}
	return u, nil
}

func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// lane is the limiter's key for a URL. Requests to the registry count under the
// host of the image's name, also where an endpoint stands for it.
func (t *target) lane(u *url.URL, identity string) limit.Key {
	if u.Host == t.base.Host {
		return limit.Key{Host: t.req.Host, Identity: identity}
	}
	return limit.Key{Host: u.Host, Identity: identity}
}

// transport returns the transport for a URL. Client certificates are shown to
// the registry's own host only; its certificate authority is trusted for its
// token server and object store too.
func (c *Client) transport(t *target, u *url.URL) (http.RoundTripper, error) {
	own := u.Host == t.base.Host
	hash := sha256.New()
	hash.Write(t.host.CA)
	if own {
		hash.Write([]byte{0})
		hash.Write(t.host.Cert)
		hash.Write([]byte(t.host.Key.Reveal()))
	}
	key := [sha256.Size]byte(hash.Sum(nil))
	c.mu.Lock()
	defer c.mu.Unlock()
	if tr := c.transports[key]; tr != nil {
		return tr, nil
	}
	tr := c.opts.Transport.Clone()
	if err := t.host.configure(tr, own); err != nil {
		return nil, fmt.Errorf("%s: %w", t.req.Host, err)
	}
	c.transports[key] = tr
	return tr, nil
}

func (h Host) configure(tr *http.Transport, own bool) error {
	if tr.TLSClientConfig == nil {
		tr.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if h.CA != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a machine without any: the registry's own is enough
		}
		if !pool.AppendCertsFromPEM(h.CA) {
			return errors.New("no certificate is in its CA file")
		}
		tr.TLSClientConfig.RootCAs = pool
	}
	if own && h.Cert != nil {
		pair, err := tls.X509KeyPair(h.Cert, []byte(h.Key.Reveal()))
		if err != nil {
			return errors.New("its client certificate and key do not fit")
		}
		tr.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return nil
}
