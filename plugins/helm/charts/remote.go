package charts

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// location is a URL and how to reach it.
type location struct {
	asked string // as the user, an index or a chart has it
	*url.URL
	auth     helm.Auth
	mirrored bool
}

// String names the location for errors, without what may be secret in it.
func (l location) String() string {
	if l.mirrored {
		return fmt.Sprintf("%s (mirror of %s)", l.Redacted(), redactURL(l.asked))
	}
	return l.Redacted()
}

func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL"
	}
	return u.Redacted()
}

func (l location) oci() bool { return l.Scheme == "oci" }

// identity tells a location, and who asks there, from all others: what was
// delivered to one is not for another.
func (l location) identity() string {
	all := sha256.New()
	for _, part := range []string{l.URL.String(), l.auth.Username, l.auth.Password.Reveal(), l.auth.CA, l.auth.Cert, l.auth.Key.Reveal()} {
		fmt.Fprintf(all, "%q\n", part)
	}
	return hex.EncodeToString(all.Sum(nil))
}

// of is the location of something below l.
func (l location) of(name string) location {
	l.URL = l.JoinPath(name)
	return l
}

// locate applies what ref says about remotes to a URL.
func (s *Store) locate(ref helm.ChartRef, raw string) (location, error) {
	if u, err := url.Parse(raw); err == nil && helm.HasDotSegments(u) { // before a mirror's prefix is put for another
		return location{}, fmt.Errorf("%s: a URL may not have . or .. in its path", u.Redacted())
	}
	var remote helm.Remote
	i, target := helm.FindRemote(ref.Remotes, raw)
	if i >= 0 {
		remote = ref.Remotes[i]
	}
	u, err := url.Parse(target)
	if err != nil {
		return location{}, fmt.Errorf("%q is not a URL", redactURL(target))
	}
	switch u.Scheme {
	case "http", "https", "oci":
	case "":
		return location{}, fmt.Errorf("repository %q has no scheme: https://, http:// or oci://", target)
	default:
		return location{}, fmt.Errorf("repository %s: charts come from https://, http:// and oci://, not %s://", u.Redacted(), u.Scheme)
	}
	auth, mirrored := remote.Auth, remote.Mirror != ""
	if auth == (helm.Auth{}) && !mirrored && sameServer(u, ref.Repository) {
		auth = ref.Auth
	}
	return location{raw, u, auth, mirrored}, nil
}

func sameServer(u *url.URL, other string) bool {
	o, err := url.Parse(other)
	return err == nil && u.Scheme == o.Scheme && strings.EqualFold(u.Host, o.Host)
}

// client returns the one for an authority and a client certificate.
func (s *Store) client(auth helm.Auth) (*http.Client, error) {
	key := fmt.Sprintf("%x", sha256.Sum256([]byte(auth.CA+"\x00"+auth.Cert+"\x00"+auth.Key.Reveal())))
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[key]; c != nil {
		return c, nil
	}
	config, err := tlsConfig(auth)
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	transport.ResponseHeaderTimeout = time.Minute
	c := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	s.clients[key] = c
	return c, nil
}

func tlsConfig(auth helm.Auth) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if auth.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(auth.CA)) {
			return nil, errors.New("the authority holds no certificate in PEM form")
		}
	}
	if auth.Cert != "" || !auth.Key.IsZero() {
		pair, err := tls.X509KeyPair([]byte(auth.Cert), []byte(auth.Key.Reveal()))
		if err != nil {
			return nil, errors.New("the client certificate and its key do not fit, or are not in PEM form")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// mostRedirects is how many a download may take.
const mostRedirects = 10

func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= mostRedirects:
		return errors.New("too many redirects")
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return errors.New("refused: a redirect from https to " + req.URL.Scheme)
	}
	return nil
}

// get asks for a URL. It answers with 200 or, if header asks for it, 304.
func (s *Store) get(ctx context.Context, l location, header http.Header) (*http.Response, error) {
	client, err := s.client(l.auth)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.URL.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("User-Agent", s.UserAgent)
	if l.auth.Username != "" || !l.auth.Password.IsZero() {
		req.SetBasicAuth(l.auth.Username, l.auth.Password.Reveal())
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(ctx, l, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp, nil
	case http.StatusNotModified:
		if header.Get("If-None-Match") != "" || header.Get("If-Modified-Since") != "" {
			return resp, nil
		}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection is used again
	_ = resp.Body.Close()
	return nil, refused(l, resp)
}

// wanting is what to do where there are no credentials.
const wanting = "give the chart a username and a password (a HelmRelease: chartPullSecret), or an OCI registry a registry_credential block"

// unreachable says which URL could not be reached.
func unreachable(ctx context.Context, l location, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", l, cause)
	}
	if inner, ok := errors.AsType[*url.Error](err); ok { // it repeats the URL
		err = inner.Err
	}
	return fmt.Errorf("%s cannot be reached: %w", l, err)
}

func refused(l location, resp *http.Response) error {
	err := fmt.Errorf("%s answers %s", l, cmp.Or(resp.Status, strconv.Itoa(resp.StatusCode)))
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		if l.auth.Username == "" {
			return &refusal{err.Error(), "it wants credentials, and none are set for it: " + wanting}
		}
		return &refusal{err.Error(), fmt.Sprintf("it does not accept the credentials of %q", l.auth.Username)}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if seconds, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil {
			return sdk.RetryAfter(err, time.Duration(seconds)*time.Second)
		}
	}
	return err
}

// loopback tells whether a host with a port is this machine.
func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(name)
	return name == "localhost" || (ip != nil && ip.IsLoopback())
}
