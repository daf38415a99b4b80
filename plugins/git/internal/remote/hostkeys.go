package remote

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

//go:embed hosts.txt
var builtinHosts string

// writeKnownHosts writes the keys that are trusted for t to a file in dir and
// returns its path. Where the user names keys for the host of t, those alone
// count.
func writeKnownHosts(dir string, t Target) (string, error) {
	path := filepath.Join(dir, "known_hosts")
	own := strings.TrimSpace(t.KnownHosts) + "\n"
	if err := os.WriteFile(path, []byte(own), 0o600); err != nil {
		return "", err
	}
	keys, err := trusted(path, t.Address)
	if err != nil {
		return "", fault(t, HostKey, err.Error())
	}
	if len(keys) > 0 {
		return path, nil
	}
	return path, os.WriteFile(path, []byte(own+builtinHosts), 0o600)
}

// CheckKnownHosts reports what is wrong with lines in known_hosts format.
func CheckKnownHosts(text string) error {
	rest := []byte(text)
	for {
		var err error
		_, _, _, _, rest, err = ssh.ParseKnownHosts(rest)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errors.New("known_hosts: expected lines of host, key type and key, as ssh-keyscan prints them")
		}
	}
}

// trusted returns the keys that the file at path gives for the host of a.
func trusted(path string, a Address) ([]knownhosts.KnownKey, error) {
	check, err := knownhosts.New(path)
	if err != nil {
		// The message starts with the path of a temporary file.
		return nil, fmt.Errorf("known_hosts: %s", strings.TrimPrefix(err.Error(), "knownhosts: "+path+":"))
	}
	// A check with a key that nobody has makes the package name the others.
	err = check(a.dial(), &net.TCPAddr{IP: net.IPv4zero}, nobodysKey{})
	if ke, ok := errors.AsType[*knownhosts.KeyError](err); ok {
		return ke.Want, nil
	}
	return nil, nil
}

// nobodysKey is a public key that equals no other.
type nobodysKey struct{}

func (nobodysKey) Type() string                        { return "none" }
func (nobodysKey) Marshal() []byte                     { return []byte("none") }
func (nobodysKey) Verify([]byte, *ssh.Signature) error { return errors.New("not a key") }

// algorithms returns the host key algorithms to negotiate, so that the server
// shows a key of a type that is known. nil: the default.
func algorithms(keys []knownhosts.KnownKey) []string {
	var l []string
	for _, k := range keys {
		typ := k.Key.Type()
		if typ == ssh.KeyAlgoRSA {
			l = append(l, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		}
		if !slices.Contains(l, typ) {
			l = append(l, typ)
		}
	}
	return l
}

// hostKeyFault explains why the key of t's server is not trusted. It connects
// once more to see the key, because the ssh client does not tell.
func hostKeyFault(ctx context.Context, t Target, knownHosts string) *Fault {
	want, err := trusted(knownHosts, t.Address)
	if err != nil {
		return fault(t, HostKey, err.Error())
	}
	seen, err := seeHostKey(ctx, t, algorithms(want))
	if err != nil && len(want) > 0 {
		seen, err = seeHostKey(ctx, t, nil)
	}
	if err != nil {
		return fault(t, HostKey, "and the server's key cannot be read: "+err.Error())
	}
	return unknownKey(t, seen, want)
}

// unknownKey words the difference between the key seen and those expected.
func unknownKey(t Target, seen ssh.PublicKey, want []knownhosts.KnownKey) *Fault {
	a := t.Address
	scan := "ssh-keyscan " + a.Host
	if a.Port != "" {
		scan = "ssh-keyscan -p " + a.Port + " " + a.Host
	}
	show := a.Host + " shows " + seen.Type() + " " + ssh.FingerprintSHA256(seen)
	if len(want) == 0 {
		f := fault(t, HostKey, show+", and known_hosts has no key of it")
		f.Hint = "compare it with what the server's operator publishes, then add the output of `" + scan + "` to ssh { known_hosts }"
		return f
	}
	var expected []string
	for _, k := range want {
		expected = append(expected, k.Key.Type()+" "+ssh.FingerprintSHA256(k.Key))
	}
	f := fault(t, HostKey, show+", expected "+strings.Join(expected, " or "))
	f.Hint = "if the server's operator has replaced the key, put the output of `" + scan + "` into ssh { known_hosts }; if not, somebody is in between"
	return f
}

var errSeen = errors.New("seen")

// seeHostKey connects to the ssh server of t until it has shown its key.
func seeHostKey(ctx context.Context, t Target, algorithms []string) (ssh.PublicKey, error) {
	conn, err := dialSSH(ctx, t)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it is only looked at
	var seen ssh.PublicKey
	_, _, _, err = ssh.NewClientConn(conn, t.Address.dial(), &ssh.ClientConfig{
		User:              t.Address.User,
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = key
			return errSeen
		},
	})
	if seen == nil {
		return nil, err
	}
	return seen, nil
}

// dialSSH connects to the server of t; the connection ends with ctx, or when
// the server is silent during the handshake.
func dialSSH(ctx context.Context, t Target) (net.Conn, error) {
	d := net.Dialer{Timeout: t.stall()}
	conn, err := d.DialContext(ctx, "tcp", t.Address.dial())
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(t.stall()))
}

func (t Target) stall() time.Duration {
	if t.Stall <= 0 {
		return 30 * time.Second
	}
	return t.Stall
}
