package release

import (
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
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Bounds of a download.
const (
	fetchTimeout = 30 * time.Second
	redirectsMax = 5
	cachedMax    = 32 << 20 // bytes of all pages that are kept
)

// fetcher downloads values. What it downloaded last is kept and asked for with
// its ETag. It is safe for concurrent use.
type fetcher struct {
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	pages map[string]*page // by URL
	size  int
}

// page is a download.
type page struct {
	etag, modified string
	body           []byte
	used           time.Time
}

func newFetcher(now func() time.Time) *fetcher {
	return &fetcher{client: &http.Client{Transport: transport(nil), CheckRedirect: redirect}, now: now, pages: map[string]*page{}}
}

func transport(t *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: t, ForceAttemptHTTP2: true,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2,
	}
}

// redirect follows a few, never from https to http, and tells another server
// neither credentials nor where it was sent from.
func redirect(req *http.Request, via []*http.Request) error {
	last := via[len(via)-1]
	switch {
	case len(via) > redirectsMax:
		return fmt.Errorf("more than %d redirects", redirectsMax)
	case req.URL.Scheme != "https" && last.URL.Scheme == "https":
		return errors.New("a redirect from https to " + req.URL.Scheme)
	case req.URL.User != nil:
		return errors.New("a redirect to a URL with credentials")
	}
	req.Header.Del("Referer")
	if req.URL.Host != via[0].URL.Host {
		req.Header.Del("Authorization")
	}
	return nil
}

// redirectWithin is redirect for who has a client certificate.
func redirectWithin(req *http.Request, via []*http.Request) error {
	if req.URL.Host != via[0].URL.Host {
		return fmt.Errorf("a redirect to %s, which would see the client certificate", req.URL.Host)
	}
	return redirect(req, via)
}

// fetch returns what an URL holds, through the mirror that stands in for it.
// With sum, the content must have that SHA-256. What does not exist is
// ErrNoValues.
func (f *fetcher) fetch(ctx context.Context, address, sum string, remotes []helm.Remote) ([]byte, error) {
	u, auth, err := locate(address, remotes)
	if err != nil {
		return nil, err
	}
	client := f.client
	if auth.CA != "" || auth.Cert != "" {
		t, err := tlsConfig(auth)
		if err != nil {
			return nil, err
		}
		own := transport(t)
		defer own.CloseIdleConnections()
		client = &http.Client{Transport: own, CheckRedirect: redirect}
		if auth.Cert != "" {
			client.CheckRedirect = redirectWithin
		}
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, err := f.get(ctx, client, u, auth)
	if err != nil {
		return nil, explain(err, address, u)
	}
	if got := sha256.Sum256(body); sum != "" && !strings.EqualFold(sum, hex.EncodeToString(got[:])) {
		return nil, fmt.Errorf("the SHA-256 of what is there is %x, not the declared one", got)
	}
	return body, nil
}

// explain is err without what may be secret, and with the mirror that was asked.
func explain(err error, address string, u *url.URL) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // it repeats the URL, with a query that may be a secret
	}
	if at := plainURL(u.String()); at != plainURL(address) {
		err = fmt.Errorf("its mirror %s: %w", at, err)
	}
	return err
}

// plainURL is an address without what may be secret.
func plainURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (f *fetcher) get(ctx context.Context, client *http.Client, u *url.URL, auth helm.Auth) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("not a URL that can be asked for")
	}
	if auth.Username != "" {
		req.SetBasicAuth(auth.Username, auth.Password.Reveal())
	}
	key := u.String() + "\x00" + auth.Username
	known := f.known(key)
	if known != nil {
		setIf(req, "If-None-Match", known.etag)
		setIf(req, "If-Modified-Since", known.modified)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	switch {
	case resp.StatusCode == http.StatusNotModified && known != nil:
		return known.body, nil
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return nil, fmt.Errorf("%s: %w", resp.Status, ErrNoValues)
	case resp.StatusCode != http.StatusOK:
		return nil, errors.New(resp.Status)
	}
	body, err := readPart(resp.Body)
	if err != nil {
		return nil, err
	}
	f.keep(key, &page{etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified"), body: body})
	return body, nil
}

func setIf(req *http.Request, header, value string) {
	if value != "" {
		req.Header.Set(header, value)
	}
}

func (f *fetcher) known(key string) *page {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pages[key]
	if p != nil {
		p.used = f.now()
	}
	return p
}

// keep remembers a page, and forgets those that were used longest ago.
func (f *fetcher) keep(key string, p *page) {
	if p.etag == "" && p.modified == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(key)
	p.used = f.now()
	f.pages[key] = p
	f.size += len(p.body)
	for f.size > cachedMax && len(f.pages) > 1 {
		oldest := ""
		for k, candidate := range f.pages {
			if k != key && (oldest == "" || candidate.used.Before(f.pages[oldest].used)) {
				oldest = k
			}
		}
		f.drop(oldest)
	}
}

func (f *fetcher) drop(key string) {
	if p := f.pages[key]; p != nil {
		f.size -= len(p.body)
		delete(f.pages, key)
	}
}

func (f *fetcher) close() { f.client.CloseIdleConnections() }

// locate is where to ask for address: at the mirror with the longest prefix.
func locate(address string, remotes []helm.Remote) (*url.URL, helm.Auth, error) {
	best, mirrored := helm.Remote{}, address
	for _, r := range remotes {
		prefix := strings.TrimSuffix(r.Prefix, "/")
		rest, ok := strings.CutPrefix(address, prefix)
		if !ok || rest != "" && !strings.ContainsAny(rest[:1], "/?") || len(r.Prefix) <= len(best.Prefix) {
			continue
		}
		best, mirrored = r, address
		if r.Mirror != "" {
			mirrored = strings.TrimSuffix(r.Mirror, "/") + rest
		}
	}
	u, err := url.Parse(mirrored)
	switch {
	case err != nil:
		return nil, helm.Auth{}, errors.New("not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, helm.Auth{}, errors.New("the URL begins with neither https:// nor http://")
	case u.User != nil:
		return nil, helm.Auth{}, errors.New("the URL has credentials in it: use a mirror block with a username and password")
	}
	return u, best.Auth, nil
}

func tlsConfig(a helm.Auth) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CA != "" {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM([]byte(a.CA)) {
			return nil, errors.New("ca holds no certificate in PEM")
		}
	}
	if a.Cert != "" {
		pair, err := tls.X509KeyPair([]byte(a.Cert), []byte(a.Key.Reveal()))
		if err != nil {
			return nil, errors.New("cert and key are no pair in PEM")
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// readPart reads what may be a part of values.
func readPart(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, partMax+1))
	if err != nil {
		return nil, err
	}
	if len(data) > partMax {
		return nil, fmt.Errorf("more than %d MiB", partMax>>20)
	}
	return data, nil
}
