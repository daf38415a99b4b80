package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// httpClient makes sessions with one http server. Its connections end with
// close.
type httpClient struct {
	transport.Transport
	endpoint *transport.Endpoint
	auth     transport.AuthMethod
	close    func()
}

func newHTTPClient(t Target) (*httpClient, error) {
	tlsConfig, err := t.TLS.config()
	if err != nil {
		return nil, fault(t, BadTLS, err.Error())
	}
	rt := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           idleDialer(t),
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   t.stall(),
		ResponseHeaderTimeout: t.stall(),
		ForceAttemptHTTP2:     true,
	}
	ep := &transport.Endpoint{Protocol: t.Address.Scheme, Host: t.Address.Host, Path: t.Address.Path}
	if t.Address.Port != "" {
		if ep.Port, err = strconv.Atoi(t.Address.Port); err != nil {
			return nil, fault(t, Other, "the port is not a number")
		}
	}
	c := &httpClient{githttp.NewClient(&http.Client{Transport: rt}), ep, nil, rt.CloseIdleConnections}
	switch cred := t.Credentials; {
	case !cred.Bearer.IsZero():
		c.auth = &githttp.TokenAuth{Token: cred.Bearer.Reveal()}
	case !cred.Password.IsZero():
		c.auth = &githttp.BasicAuth{Username: cred.Username, Password: cred.Password.Reveal()}
	}
	return c, nil
}

// fetchHTTP makes a client for one fetch.
func fetchHTTP(t Target) (transport.UploadPackSession, error) {
	c, err := newHTTPClient(t)
	if err != nil {
		return nil, err
	}
	s, err := c.NewUploadPackSession(c.endpoint, c.auth)
	if err != nil {
		c.close()
		return nil, err
	}
	return httpFetch{s, c}, nil
}

// pushHTTP makes a client for one push.
func pushHTTP(t Target) (transport.ReceivePackSession, error) {
	c, err := newHTTPClient(t)
	if err != nil {
		return nil, err
	}
	s, err := c.NewReceivePackSession(c.endpoint, c.auth)
	if err != nil {
		c.close()
		return nil, err
	}
	return httpPush{s, c}, nil
}

type httpFetch struct {
	transport.UploadPackSession
	client *httpClient
}

func (s httpFetch) Close() error {
	defer s.client.close()
	return s.UploadPackSession.Close()
}

type httpPush struct {
	transport.ReceivePackSession
	client *httpClient
}

// ReceivePack lets go of the connection when the answer has been read, which
// go-git forgets.
func (s httpPush) ReceivePack(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return s.ReceivePackSession.ReceivePack(ctx, req)
}

func (s httpPush) Close() error {
	defer s.client.close()
	return s.ReceivePackSession.Close()
}

// config reads the files of t.
func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// classifyNative makes a Fault of an error of go-git, net/http or x/crypto/ssh.
func classifyNative(ctx context.Context, t Target, err error) error {
	if ctx.Err() != nil {
		return contextFault(ctx, t)
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	// go-git wraps some errors in a type that does not unwrap.
	if u, ok := errors.AsType[*plumbing.UnexpectedError](err); ok {
		err = u.Err
	}
	if k := kindOfError(err); k != Other {
		f := fault(t, k, detail(k, err))
		var status *githttp.Err
		if errors.As(err, &status) {
			f.After = retryAfter(status.Response.Header.Get("Retry-After"), time.Now())
		}
		return f
	}
	// The rest are texts of the server or of the ssh package.
	return classify(t, err.Error())
}

func kindOfError(err error) Kind {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var netErr net.Error
	var status *githttp.Err
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return Denied
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return NotFound
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return DiskFull
	case errors.As(err, &dns):
		return NoHost
	case errors.As(err, &cert):
		return BadTLS
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Refused
	case errors.As(err, &netErr) && netErr.Timeout():
		return Timeout
	case errors.As(err, &status):
		return Busy
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return Corrupt
	}
	return Other
}

// detail says of err what the words of k do not.
func detail(k Kind, err error) string {
	if k == Denied || k == NotFound || k == DiskFull {
		return "" // the rest is a page for browsers
	}
	var status *githttp.Err
	if errors.As(err, &status) {
		return "HTTP status " + strconv.Itoa(status.StatusCode())
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err.Error() // without the URL
	}
	if errors.Is(err, packp.ErrEmptyInput) {
		return "no answer"
	}
	return err.Error()
}
