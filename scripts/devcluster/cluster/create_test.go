package cluster

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// made returns a new cluster without processes, and its root.
func made(t *testing.T, name string) (*Clusters, *cluster) {
	t.Helper()
	c := New(t.TempDir(), func(string) {})
	cl, err := c.acquire(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.lock.Release)
	if err := c.create(t.Context(), cl, name); err != nil {
		t.Fatal(err)
	}
	return c, cl
}

func TestRenderKubeconfig(t *testing.T) {
	got := string(renderKubeconfig(kubeconfig{
		cluster: "devcluster-dev", server: "https://127.0.0.1:20001", ca: []byte("PEM"), user: "admin", token: "secret",
	}))
	const want = `apiVersion: v1
kind: Config
current-context: "devcluster-dev"
clusters:
- name: "devcluster-dev"
  cluster:
    server: "https://127.0.0.1:20001"
    certificate-authority-data: UEVN
users:
- name: "admin"
  user:
    token: "secret"
contexts:
- name: "devcluster-dev"
  context:
    cluster: "devcluster-dev"
    user: "admin"
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestCertificates(t *testing.T) {
	_, cl := made(t, "dev")
	for _, test := range []struct {
		file, ca string
		usage    x509.ExtKeyUsage
		hosts    []string
	}{
		{"apiserver", "ca", x509.ExtKeyUsageServerAuth,
			[]string{"127.0.0.1", "::1", "localhost", "kubernetes.default.svc", kubernetesServiceIP}},
		{"front-proxy-client", "front-proxy-ca", x509.ExtKeyUsageClientAuth, nil},
	} {
		roots := x509.NewCertPool()
		roots.AddCert(certificate(t, cl.pki(test.ca+".crt")))
		leaf := certificate(t, cl.pki(test.file+".crt"))
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{test.usage}}); err != nil {
			t.Errorf("%s: %v", test.file, err)
		}
		for _, host := range test.hosts {
			if err := leaf.VerifyHostname(host); err != nil {
				t.Errorf("%s: %v", test.file, err)
			}
		}
		key, err := x509.ParseECPrivateKey(block(t, cl.pki(test.file+".key")))
		if err != nil || !key.PublicKey.Equal(leaf.PublicKey.(*ecdsa.PublicKey)) {
			t.Errorf("%s: the key is not the certificate's (%v)", test.file, err)
		}
	}
}

func certificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(block(t, path))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

func block(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(data)
	if b == nil {
		t.Fatalf("%s: no PEM block", path)
	}
	return b.Bytes
}

// Command lines can be read by every user of the machine.
func TestNoCredentialInArguments(t *testing.T) {
	_, cl := made(t, "dev")
	for _, component := range Components() {
		line := strings.Join(arguments(component, cl.layout, cl.Ports, "stages.yaml"), " ")
		for _, u := range users {
			token, err := tokenOf(cl.dir, u)
			if err != nil {
				t.Fatal(err)
			}
			if len(token) < 20 || strings.Contains(line, token) {
				t.Errorf("%s: the token of %s, %d long, is in %s", component, u.name, len(token), line)
			}
		}
	}
}

// The files that arguments name must be there, or be made by the program itself.
func TestArgumentsNameFilesThatExist(t *testing.T) {
	_, cl := made(t, "dev")
	for _, component := range Components() {
		for _, argument := range arguments(component, cl.layout, cl.Ports, "stages.yaml") {
			flag, file, _ := strings.Cut(argument, "=")
			if !filepath.IsAbs(file) || regexp.MustCompile(`^--(data-dir|audit-log-path|flex-volume-plugin-dir)$`).MatchString(flag) {
				continue
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s: %v", component, argument, err)
			}
		}
	}
}

func TestOnlyTheUserMayReadTheFiles(t *testing.T) {
	_, cl := made(t, "dev")
	err := filepath.WalkDir(cl.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestClustersHavePortsOfTheirOwn(t *testing.T) {
	c, first := made(t, "one")
	second, err := c.acquire(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	defer second.lock.Release()
	if err := c.create(t.Context(), second, "two"); err != nil {
		t.Fatal(err)
	}
	for _, a := range first.Ports.all() {
		for _, b := range second.Ports.all() {
			if *a == *b {
				t.Errorf("both have port %d", *a)
			}
		}
	}
}

func TestNodes(t *testing.T) {
	ready := func(status string, taints ...string) node {
		n := newNode(0)
		n.Status.Conditions = []condition{{Type: "MemoryPressure", Status: "False"}, {Type: "Ready", Status: status}}
		for _, key := range taints {
			n.Spec.Taints = append(n.Spec.Taints, taint{Key: key})
		}
		return n
	}
	for _, test := range []struct {
		name string
		node node
		want bool
	}{
		{"new", newNode(0), false},
		{"not ready", ready("False"), false},
		{"ready and still tainted", ready("True", "node.kubernetes.io/not-ready"), false},
		{"ready", ready("True"), true},
		{"ready with a taint of the user", ready("True", "example.com/gpu"), true},
	} {
		if got := test.node.ready(); got != test.want {
			t.Errorf("%s: ready = %v", test.name, got)
		}
	}
	if a, b := newNode(0), newNode(MaxNodes-1); a.Spec.PodCIDR == b.Spec.PodCIDR || a.Metadata.Name == b.Metadata.Name {
		t.Errorf("two nodes share %q or %q", a.Spec.PodCIDR, a.Metadata.Name)
	}
}
