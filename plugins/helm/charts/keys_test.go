package charts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"helm.sh/helm/v4/pkg/provenance"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// clientPair makes a certificate that is its own authority.
func clientPair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
}

// signer makes a key, and its public half in armor.
func signer(t *testing.T) (*openpgp.Entity, string) {
	t.Helper()
	e, err := openpgp.NewEntity("charts", "", "charts@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return e, b.String()
}

func TestProvenance(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.put("/index.yaml", []byte("entries:\n  web:\n"+r.publish(t, "web", "1.0.0", nil)+"  free:\n"+r.publish(t, "free", "1.0.0", nil)))
	key, public := signer(t)
	_, other := signer(t)
	signed, err := (&provenance.Signatory{Entity: key}).ClearSign(r.files["/web-1.0.0.tgz"], "web-1.0.0.tgz", []byte("name: web\nversion: 1.0.0\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.put("/web-1.0.0.tgz.prov", []byte(signed))
	s := store(t, "")
	for name, tt := range map[string]struct{ chart, keys, want string }{
		"signed":      {"web", public, ""},
		"one of two":  {"web", other + "\n" + public, ""},
		"another key": {"web", other, "the chart's signature is not accepted"},
		"not signed":  {"free", public, "free-1.0.0.tgz.prov answers 404"},
		"no key":      {"web", "nothing", "the keyring holds no key"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := s.Resolve(t.Context(), helm.ChartRef{Repository: r.URL, Name: tt.chart, Keyring: tt.keys, Auth: helm.Auth{CA: r.authority()}})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Pull(t.Context(), c, t.TempDir())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
