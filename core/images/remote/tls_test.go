package remote_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestTLS(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{TLS: true, Auth: "token", Users: []registrytest.User{robot}})
	r.Push("team/app", registrytest.Image{Tags: []string{"1"}})
	cred := password("robot", robot.Password)
	c, _ := newClient(t, remote.Host{CA: r.CAPEM()}, cred)
	if _, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{}); err != nil {
		t.Error(err)
	}
	for name, tt := range map[string]struct {
		host remote.Host
		err  string
	}{
		"an unknown authority":       {remote.Host{}, "ca_file"},
		"insecure is not unverified": {remote.Host{Insecure: true, Endpoint: "https://" + r.Host}, "ca_file"},
		"plain http by default":      {remote.Host{Endpoint: "http://" + r.Host}, "insecure = true"},
		"a CA file of nothing":       {remote.Host{CA: []byte("x")}, "CA file"},
	} {
		c, w := newClient(t, tt.host, cred)
		r.Reset()
		if _, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{}); err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", name, err, tt.err)
		}
		if r.Count() > 0 || len(w.rejected) > 0 {
			t.Errorf("%s: %v, rejected %v", name, r.Counts(), w.rejected)
		}
	}
}

func TestPlainHTTPWhereTLSIsExpected(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	c, _ := newClient(t, remote.Host{})
	if _, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{}); err == nil || !strings.Contains(err.Error(), "insecure = true") {
		t.Errorf("the error is %v", err)
	}
}

// tlsServers are a registry and an object store with one authority. The
// registry wants a client certificate; the store must not see it.
func tlsServers(t *testing.T) (reg, store *oddRegistry, host remote.Host, shown *int) {
	reg, store = &oddRegistry{ServeMux: http.NewServeMux()}, &oddRegistry{ServeMux: http.NewServeMux()}
	reg.Server, store.Server = httptest.NewUnstartedServer(reg), httptest.NewUnstartedServer(store)
	shown = new(int)
	reg.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	store.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, VerifyConnection: func(s tls.ConnectionState) error {
		*shown += len(s.PeerCertificates)
		return nil
	}}
	for _, s := range []*oddRegistry{reg, store} {
		s.StartTLS()
		t.Cleanup(s.Close)
	}
	cert, key := clientCertificate(t)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: reg.Certificate().Raw})
	return reg, store, remote.Host{CA: ca, Cert: cert, Key: secret.New(string(key))}, shown
}

func clientCertificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sluice"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// Blobs come from object stores: no password, no token and no certificate goes
// there, and none comes back after the detour.
func TestObjectStoreGetsNoCredentials(t *testing.T) {
	const config = `{"created":"2026-03-04T05:06:07Z","os":"linux","architecture":"amd64"}`
	reg, store, host, shown := tlsServers(t)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s"}}`, digestOf(config))
	const auth = "Basic cm9ib3Q6aHVudGVyMjI="
	reg.Handle("/v2/team/app/manifests/1", wants(auth, `Basic realm="x"`, body(200, manifest, "Content-Type", ociManifest)))
	reg.Handle("/v2/team/app/blobs/", wants(auth, `Basic realm="x"`, http.RedirectHandler("/moved", http.StatusTemporaryRedirect)))
	reg.Handle("/moved", http.RedirectHandler(store.URL+"/bucket?X-Amz-Signature=s", http.StatusFound))
	store.Handle("/bucket", http.RedirectHandler(reg.URL+"/back", http.StatusSeeOther))
	reg.Handle("/back", body(200, config))
	c, _ := newClient(t, host, password("robot", "hunter22"))
	req := credentials.Request{Host: strings.TrimPrefix(reg.URL, "https://"), Repository: "team/app"}
	got, err := c.Image(t.Context(), req, "1", remote.ImageOptions{})
	if err != nil || !got.Created.Equal(made) {
		t.Fatalf("%+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"GET /bucket"}, store.requests()); diff != "" || *shown > 0 {
		t.Errorf("%d certificates shown, the store was asked (-want +got):\n%s", *shown, diff)
	}
	blob := "GET /v2/team/app/blobs/" + digestOf(config)
	want := []string{"GET /v2/team/app/manifests/1", "GET /v2/team/app/manifests/1 " + auth, blob + " " + auth, "GET /moved " + auth, "GET /back"}
	if diff := cmp.Diff(want, reg.requests()); diff != "" {
		t.Errorf("the registry was asked (-want +got):\n%s", diff)
	}
}

// What an object store refuses is not held against the credential.
func TestObjectStoreRefuses(t *testing.T) {
	const config = `{}`
	reg, store, host, _ := tlsServers(t)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s"}}`, digestOf(config))
	reg.Handle("/v2/team/app/manifests/1", body(200, manifest, "Content-Type", ociManifest))
	reg.Handle("/v2/team/app/blobs/", http.RedirectHandler(store.URL+"/bucket", http.StatusFound))
	store.Handle("/bucket", body(401, "", "WWW-Authenticate", `Basic realm="x"`))
	c, w := newClient(t, host, password("robot", "hunter22"))
	req := credentials.Request{Host: strings.TrimPrefix(reg.URL, "https://"), Repository: "team/app"}
	if _, err := c.Image(t.Context(), req, "1", remote.ImageOptions{}); !remote.IsUnauthorized(err) || len(w.rejected) > 0 {
		t.Errorf("%v, rejected %v", err, w.rejected)
	}
	if got := store.requests(); len(got) != 1 {
		t.Errorf("the store was asked %q", got)
	}
}

// Some registries send everybody on to another one (registry.k8s.io does): the
// listing goes on there, without credentials.
func TestListingAtAnotherHost(t *testing.T) {
	reg, store, host, shown := tlsServers(t)
	reg.Handle("/v2/team/app/tags/list", wants("Basic cm9ib3Q6aHVudGVyMjI=", `Basic realm="x"`, http.RedirectHandler(store.URL+"/v2/far/app/tags/list", http.StatusTemporaryRedirect)))
	store.HandleFunc("/v2/far/app/tags/list", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			body(200, `{"name":"far/app","tags":["1"]}`, "Link", `</v2/far/app/tags/list?last=1>; rel="next"`)(w, r)
			return
		}
		body(200, `{"name":"far/app","tags":["2"]}`)(w, r)
	})
	c, w := newClient(t, host, password("robot", "hunter22"))
	req := credentials.Request{Host: strings.TrimPrefix(reg.URL, "https://"), Repository: "team/app"}
	tags, _, err := list(t, c, req, remote.TagsOptions{})
	if diff := cmp.Diff([]string{"1", "2"}, names(tags)); diff != "" || err != nil {
		t.Errorf("%v, tags (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"GET /v2/far/app/tags/list", "GET /v2/far/app/tags/list"}, store.requests()); diff != "" || *shown > 0 || len(w.rejected) > 0 {
		t.Errorf("%d certificates shown, rejected %v, the other was asked (-want +got):\n%s", *shown, w.rejected, diff)
	}
}

// The same holds for the API of Harbor, which gets the password without a
// challenge.
func TestHarborAtAnotherHost(t *testing.T) {
	reg, store, host, shown := tlsServers(t)
	host.API = "harbor"
	const artifacts = "/api/v2.0/projects/team/repositories/app/artifacts"
	page := func(first int) string {
		var all []string
		for i := range 100 {
			all = append(all, fmt.Sprintf(`{"digest":"%s","tags":[{"name":"t%d"}]}`, digestOf(fmt.Sprint(first+i)), first+i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	reg.Handle(artifacts, http.RedirectHandler(store.URL+artifacts+"?page=1", http.StatusTemporaryRedirect))
	store.HandleFunc(artifacts, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") == "1" {
			body(200, page(0))(w, r)
			return
		}
		body(200, "[]")(w, r)
	})
	c, _ := newClient(t, host, password("robot", "hunter22"))
	req := credentials.Request{Host: strings.TrimPrefix(reg.URL, "https://"), Repository: "team/app"}
	tags, _, err := list(t, c, req, remote.TagsOptions{Times: true})
	if len(tags) != 100 || err != nil {
		t.Errorf("%d tags, %v", len(tags), err)
	}
	if diff := cmp.Diff([]string{"GET " + artifacts, "GET " + artifacts}, store.requests()); diff != "" || *shown > 0 {
		t.Errorf("%d certificates shown, the other was asked (-want +got):\n%s", *shown, diff)
	}
}
