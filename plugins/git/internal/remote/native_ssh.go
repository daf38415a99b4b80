package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// openSSH connects and starts program, git-upload-pack or git-receive-pack.
// The connection ends with ctx and when the server is silent for too long.
func openSSH(ctx context.Context, t Target, program string) (*sshSession, error) {
	config, hosts, err := sshConfig(t)
	if err != nil {
		return nil, err
	}
	tcp, err := dialSSH(ctx, t)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = tcp.Close() })
	conn, channels, requests, err := ssh.NewClientConn(&idleConn{Conn: tcp, limit: t.stall()}, t.Address.dial(), config)
	if err != nil {
		stop()
		_ = tcp.Close()
		return nil, sshFault(t, hosts, err)
	}
	s := &sshSession{client: ssh.NewClient(conn, channels, requests), stop: stop}
	if err := s.start(t, program); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// hostCheck remembers what the check of the host key found.
type hostCheck struct {
	want []knownhosts.KnownKey
	seen ssh.PublicKey
}

func sshConfig(t Target) (*ssh.ClientConfig, *hostCheck, error) {
	dir, err := privateDir()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // holds public keys only
	path, err := writeKnownHosts(dir, t)
	if err != nil {
		return nil, nil, err
	}
	check, err := knownhosts.New(path)
	if err != nil {
		return nil, nil, fault(t, HostKey, err.Error())
	}
	h := &hostCheck{}
	if h.want, err = trusted(path, t.Address); err != nil {
		return nil, nil, fault(t, HostKey, err.Error())
	}
	config := &ssh.ClientConfig{
		User:              t.Address.User,
		HostKeyAlgorithms: algorithms(h.want),
		HostKeyCallback: func(host string, addr net.Addr, key ssh.PublicKey) error {
			h.seen = key
			return check(host, addr, key)
		},
	}
	if key := t.Credentials.Key; key != nil {
		config.Auth = []ssh.AuthMethod{ssh.PublicKeys(key.signer)}
	}
	return config, h, nil
}

// sshFault tells a bad host key and a refused key from other failures.
func sshFault(t Target, h *hostCheck, err error) error {
	if _, bad := errors.AsType[*knownhosts.KeyError](err); bad && h.seen != nil {
		return unknownKey(t, h.seen, h.want)
	}
	if h.seen == nil && strings.Contains(err.Error(), "no common algorithm for host key") {
		return fault(t, HostKey, t.Address.Host+" has no key of a type that known_hosts names; renew its lines with ssh-keyscan "+t.Address.Host)
	}
	if strings.Contains(err.Error(), "unable to authenticate") {
		return fault(t, Denied, "")
	}
	return err
}

// sshSession is one git-upload-pack or git-receive-pack on an ssh server.
type sshSession struct {
	client *ssh.Client
	stop   func() bool
	stdin  io.WriteCloser
	stdout io.Reader
	stderr bounded
	run    *ssh.Session
	refs   *packp.AdvRefs
}

func (s *sshSession) start(t Target, program string) error {
	var err error
	if s.run, err = s.client.NewSession(); err != nil {
		return err
	}
	if s.stdin, err = s.run.StdinPipe(); err != nil {
		return err
	}
	if s.stdout, err = s.run.StdoutPipe(); err != nil {
		return err
	}
	s.stderr.max = maxStderr
	s.run.Stderr = &s.stderr
	return s.run.Start(program + " " + shellQuote(t.Address.Path))
}

func (s *sshSession) AdvertisedReferences() (*packp.AdvRefs, error) {
	return s.AdvertisedReferencesContext(context.Background())
}

// AdvertisedReferencesContext ignores its context: the connection ends with
// the one of openSSH.
func (s *sshSession) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	if s.refs != nil {
		return s.refs, nil
	}
	refs := packp.NewAdvRefs()
	err := refs.Decode(s.stdout)
	if errors.Is(err, packp.ErrEmptyAdvRefs) || err == nil && refs.IsEmpty() {
		return nil, transport.ErrEmptyRemoteRepository
	}
	if err != nil {
		return nil, s.explain(err)
	}
	transport.FilterUnsupportedCapabilities(refs.Capabilities)
	s.refs = refs
	return refs, nil
}

// explain prefers what the server wrote to standard error to err.
func (s *sshSession) explain(err error) error {
	if errors.Is(err, packp.ErrEmptyInput) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		_ = s.run.Wait() // so that stderr is complete
		if s.stderr.Len() > 0 {
			return serverSaid(s.stderr.String())
		}
	}
	return err
}

func (s *sshSession) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	var b bytes.Buffer
	if err := req.UploadRequest.Encode(&b); err != nil {
		return nil, err
	}
	if err := req.UploadHaves.Encode(&b, true); err != nil {
		return nil, err
	}
	b.WriteString("0009done\n")
	if _, err := s.stdin.Write(b.Bytes()); err != nil {
		return nil, s.explain(fmt.Errorf("send request: %w", err))
	}
	resp := packp.NewUploadPackResponse(req)
	if err := resp.Decode(io.NopCloser(s.stdout)); err != nil {
		return nil, s.explain(err)
	}
	return resp, nil
}

func (s *sshSession) ReceivePack(_ context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	// A server that refuses before it has read all answers nevertheless.
	sendErr := req.Encode(s.stdin)
	if err := s.stdin.Close(); sendErr == nil && !errors.Is(err, io.EOF) {
		sendErr = err
	}
	answer := sideband.NewDemuxer(sideband.Sideband64k, s.stdout)
	answer.Progress = req.Progress
	report := packp.NewReportStatus()
	if err := report.Decode(answer); err != nil {
		if sendErr != nil {
			err = fmt.Errorf("send the pack: %w", sendErr)
		}
		return nil, s.explain(err)
	}
	return report, report.Error()
}

// serverSaid is what a program on the server wrote to standard error.
type serverSaid string

func (s serverSaid) Error() string { return telling(string(s), "") }

// Close ends the connection, which ends the program on the server.
func (s *sshSession) Close() error {
	s.stop()
	return s.client.Close()
}

// idleConn fails a read or write that takes longer than limit.
type idleConn struct {
	net.Conn
	limit time.Duration
}

func (c *idleConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *idleConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// idleDialer returns a dial function whose connections fail when t's server
// is silent for too long.
func idleDialer(t Target) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: t.stall()}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &idleConn{Conn: conn, limit: t.stall()}, nil
	}
}
