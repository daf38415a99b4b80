package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLife is longer than any devcluster lives: nothing renews its certificates.
const certificateLife = 10 * 365 * 24 * time.Hour

// authority signs certificates and stores them in a directory.
type authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// writePKI writes into dir, which must exist, what the components need:
//
//	ca.crt, ca.key                    signs the API server's certificate and certificate requests
//	apiserver.crt, apiserver.key      for 127.0.0.1 and the in-cluster names
//	front-proxy-ca.crt, .key          signs the next
//	front-proxy-client.crt, .key      with which the API server calls aggregated API servers
//	service-account.key, .pub         signs and checks the tokens of service accounts
func writePKI(dir string) error {
	ca, err := newAuthority(dir, "ca", "devcluster CA")
	if err != nil {
		return err
	}
	frontProxy, err := newAuthority(dir, "front-proxy-ca", "devcluster front proxy CA")
	if err != nil {
		return err
	}
	return errors.Join(
		ca.issue("apiserver", &x509.Certificate{
			Subject:     pkix.Name{CommonName: "kube-apiserver"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			DNSNames: []string{"localhost", "kubernetes", "kubernetes.default",
				"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.ParseIP(kubernetesServiceIP)},
		}),
		frontProxy.issue("front-proxy-client", &x509.Certificate{
			Subject:     pkix.Name{CommonName: frontProxyName},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}),
		writeServiceAccountKeys(dir),
	)
}

func newAuthority(dir, file, name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a := &authority{dir: dir, certificate: template, key: key}
	if a.certificate, err = a.sign(file, template, key); err != nil {
		return nil, err
	}
	return a, nil
}

// issue writes a new key and its certificate after template.
func (a *authority) issue(file string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	_, err = a.sign(file, template, key)
	return err
}

func (a *authority) sign(file string, template *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour) // Clocks are set back now and then.
	template.NotAfter = template.NotBefore.Add(certificateLife)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", file, err)
	}
	if err := errors.Join(
		writePEM(filepath.Join(a.dir, file+".crt"), "CERTIFICATE", der),
		writeKey(filepath.Join(a.dir, file+".key"), key),
	); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func writeServiceAccountKeys(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return errors.Join(
		writeKey(filepath.Join(dir, "service-account.key"), key),
		writePEM(filepath.Join(dir, "service-account.pub"), "PUBLIC KEY", public),
	)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
