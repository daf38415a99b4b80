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
	open, guarded *http.Client
	now           func() time.Time

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
	client := func(guarded bool) *http.Client {
		return &http.Client{Transport: transport(nil, guarded), CheckRedirect: redirect}
	}
	return &fetcher{open: client(false), guarded: client(true), now: now, pages: map[string]*page{}}
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

// fetch returns what the URL of from holds, through the mirror that stands in
// for it. The content must have the declared SHA-256. What does not exist is
// ErrNoValues.
func (f *fetcher) fetch(ctx context.Context, from *ValuesFrom, remotes []helm.Remote) ([]byte, error) {
	u, by, err := locate(from.URL, remotes)
	if err != nil {
		return nil, err
	}
	client, own, err := f.client(by.Auth, from.NoLocal && by.Mirror == "")
	if err != nil {
		return nil, err
	}
	if own {
		defer client.CloseIdleConnections()
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, err := f.get(ctx, client, u, by.Auth)
	if err != nil {
		return nil, explain(err, from.URL, u)
	}
	if got := sha256.Sum256(body); from.SHA256 != "" && !strings.EqualFold(from.SHA256, hex.EncodeToString(got[:])) {
		return nil, fmt.Errorf("the SHA-256 of what is there is %x, not the declared one", got)
	}
	return body, nil
}

// client is the one for a server. One with certificates of its own is made anew,
// and the caller's to close.
func (f *fetcher) client(auth helm.Auth, guarded bool) (client *http.Client, own bool, err error) {
	switch {
	case auth.CA != "" || auth.Cert != "":
	case guarded:
		return f.guarded, false, nil
	default:
		return f.open, false, nil
	}
	t, err := tlsConfig(auth)
	if err != nil {
		return nil, false, err
	}
	client = &http.Client{Transport: transport(t, guarded), CheckRedirect: redirect}
	if auth.Cert != "" {
		client.CheckRedirect = redirectWithin
	}
	return client, true, nil
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

func (f *fetcher) close() {
	f.open.CloseIdleConnections()
	f.guarded.CloseIdleConnections()
}

// locate is where to ask for address, and by what: the mirror with the longest
// prefix.
func locate(address string, remotes []helm.Remote) (u *url.URL, by helm.Remote, err error) {
	declared, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, by, errors.New("not a URL")
	case helm.HasDotSegments(declared):
		return nil, by, errors.New("the URL has . or .. in its path: write where they lead")
	}
	i, mirrored := helm.FindRemote(remotes, address)
	if i >= 0 {
		by = remotes[i]
	}
	u, err = url.Parse(mirrored)
	switch {
	case err != nil:
		return nil, by, errors.New("not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, by, errors.New("the URL begins with neither https:// nor http://")
	case u.User != nil:
		return nil, by, errors.New("the URL has credentials in it: use a mirror block with a username and password")
	}
	return u, by, nil
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
