package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// classify marks what fails again if it is tried again, and says what to do
// where the cause is known.
func classify(err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return permanentError{err}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return permanentError{fmt.Errorf("%w (name its certificate authority with ca_file in a registry block)", err)}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return permanentError{err}
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && strings.HasPrefix(string(header.RecordHeader[:]), "HTTP/") {
		return permanentError{fmt.Errorf("%w (it speaks plain HTTP: insecure = true in a registry block allows that)", err)}
	}
	return err
}
