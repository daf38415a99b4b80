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

// openHTTP makes a client for one exchange. Its connections end with it.
func openHTTP(t Target) (transport.UploadPackSession, error) {
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
	var auth transport.AuthMethod
	switch c := t.Credentials; {
	case !c.Bearer.IsZero():
		auth = &githttp.TokenAuth{Token: c.Bearer.Reveal()}
	case !c.Password.IsZero():
		auth = &githttp.BasicAuth{Username: c.Username, Password: c.Password.Reveal()}
	}
	s, err := githttp.NewClient(&http.Client{Transport: rt}).NewUploadPackSession(ep, auth)
	if err != nil {
		rt.CloseIdleConnections()
		return nil, err
	}
	return httpSession{s, rt}, nil
}

type httpSession struct {
	transport.UploadPackSession
	rt *http.Transport
}

func (s httpSession) Close() error {
	defer s.rt.CloseIdleConnections()
	return s.UploadPackSession.Close()
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
