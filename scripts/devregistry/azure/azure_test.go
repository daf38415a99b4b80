package azure

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/gate"
	"github.com/sluice-gitops/sluice/scripts/devregistry/signed"
)

type fake struct {
	*Azure
	gate    *gate.Gate
	machine string // URLs
	front   string
}

func start(t *testing.T) fake {
	t.Helper()
	g := &gate.Gate{}
	c, err := New(cloud.Options{
		Gate: g, Life: time.Minute, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Registry: "127.0.0.1:5000", URL: "http://127.0.0.1:5000",
		Tags: func(_ context.Context, repository string) ([]cloud.Tag, error) {
			if repository != "shop/api" {
				return nil, cloud.ErrNoRepository
			}
			return []cloud.Tag{{Name: "b", Pushed: time.Unix(3, 0)}, {Name: "a", Pushed: time.Unix(1, 0)}, {Name: "c", Pushed: time.Unix(2, 0)}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	mux := http.NewServeMux()
	for pattern, h := range c.Routes() {
		mux.Handle(pattern, h)
	}
	urls := map[string]string{}
	for name, e := range c.Endpoints() {
		urls[name] = serve(e.Handler)
	}
	if _, err := c.Start(urls); err != nil {
		t.Fatal(err)
	}
	return fake{c.(*Azure), g, urls["azure-imds"], serve(mux)}
}

func send(t *testing.T, method, url string, header http.Header, form url.Values) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if req.Header = header; header == nil {
		req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// with returns a copy of v with some values replaced.
func with(v url.Values, change ...string) url.Values {
	out := url.Values{}
	for name, value := range v {
		out[name] = value
	}
	for i := 0; i < len(change); i += 2 {
		out.Set(change[i], change[i+1])
	}
	return out
}

// What a client could get wrong, and an attacker could try, is refused.
func TestEntraRefuses(t *testing.T) {
	f := start(t)
	federated, err := os.ReadFile(filepath.Join(f.options.Dir, "federated-token"))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(k *signed.Key, issuer, subject, audience string, life time.Duration) string {
		token, err := k.Sign(signed.New(issuer, subject, audience, life))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	issuer := f.base + "/issuer"
	secret := url.Values{"grant_type": {"client_credentials"}, "client_id": {AppClient}, "client_secret": {f.secret}, "scope": {audiences[0] + "/.default openid"}}
	assertion := with(secret, "client_assertion", string(federated), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	assertion.Del("client_secret")
	for _, c := range []struct {
		name   string
		tenant string
		form   url.Values
		want   int
		text   string
	}{
		{"good secret", Tenant, secret, 200, "access_token"},
		{"good assertion", Tenant, assertion, 200, "access_token"},
		{"other tenant", AppClient, secret, 400, "AADSTS90002"},
		{"other application", Tenant, with(secret, "client_id", UserClient), 401, "AADSTS700016"},
		{"other secret", Tenant, with(secret, "client_secret", "x"), 401, "AADSTS7000215"},
		{"no secret", Tenant, with(secret, "client_secret", ""), 401, "AADSTS7000215"},
		{"other audience", Tenant, with(secret, "scope", "https://example.com/.default"), 400, "AADSTS500011"},
		{"no scope", Tenant, with(secret, "scope", ""), 400, "AADSTS500011"},
		{"other grant", Tenant, with(secret, "grant_type", "password"), 400, "AADSTS70003"},
		{"unknown kind of assertion", Tenant, with(assertion, "client_assertion_type", "x"), 401, "AADSTS50027"},
		{"signed by another", Tenant, with(assertion, "client_assertion", sign(f.entra, issuer, federatedSubject, federatedAudience, time.Hour)), 401, "AADSTS700211"},
		{"of another issuer", Tenant, with(assertion, "client_assertion", sign(f.issuer, "https://example.com", federatedSubject, federatedAudience, time.Hour)), 401, "AADSTS700211"},
		{"of another subject", Tenant, with(assertion, "client_assertion", sign(f.issuer, issuer, "x", federatedAudience, time.Hour)), 401, "AADSTS700213"},
		{"for another audience", Tenant, with(assertion, "client_assertion", sign(f.issuer, issuer, federatedSubject, "x", time.Hour)), 401, "AADSTS700212"},
		{"expired", Tenant, with(assertion, "client_assertion", sign(f.issuer, issuer, federatedSubject, federatedAudience, -time.Second)), 401, "AADSTS700024"},
		{"no token", Tenant, with(assertion, "client_assertion", "x"), 401, "AADSTS700027"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, text := send(t, http.MethodPost, f.base+"/"+c.tenant+"/oauth2/v2.0/token", nil, c.form)
			if got != c.want || !strings.Contains(text, c.text) {
				t.Errorf("%d %s, want %d %s", got, text, c.want, c.text)
			}
		})
	}
}

func TestManagedIdentityRefuses(t *testing.T) {
	f := start(t)
	query := "?api-version=2018-02-01&resource=" + url.QueryEscape(audiences[0])
	imds, app := f.machine+"/metadata/identity/oauth2/token", f.machine+"/msi/token"
	metadata := http.Header{"Metadata": {"true"}}
	for _, c := range []struct {
		name, url string
		header    http.Header
		want      int
	}{
		{"machine", imds + query, metadata, 200},
		{"user-assigned", imds + query + "&client_id=" + UserClient, metadata, 200},
		{"not assigned", imds + query + "&client_id=" + AppClient, metadata, 400},
		{"no header", imds + query, http.Header{}, 400},
		{"through a proxy", imds + query, http.Header{"Metadata": {"true"}, "X-Forwarded-For": {"10.0.0.1"}}, 400},
		{"no version", imds + "?resource=" + audiences[0], metadata, 400},
		{"other audience", imds + "?api-version=1&resource=https://example.com", metadata, 400},
		{"app service", app + query, http.Header{"X-Identity-Header": {f.header}}, 200},
		{"app service without its header", app + query, metadata, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, text := send(t, http.MethodGet, c.url, c.header, nil); got != c.want {
				t.Errorf("%d %s, want %d", got, text, c.want)
			}
		})
	}
}

func TestRegistry(t *testing.T) {
	f := start(t)
	access, err := f.accessToken(AppClient, audiences[0])
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := f.issuer.Sign(signed.New("x", "x", audiences[0], time.Hour), accessClaims{Tenant, AppClient})
	if err != nil {
		t.Fatal(err)
	}
	graph, err := f.accessToken(AppClient, "https://graph.microsoft.com")
	if err != nil {
		t.Fatal(err)
	}
	good := url.Values{"grant_type": {"access_token"}, "service": {"shop.azurecr.io"}, "tenant": {Tenant}, "access_token": {access}}
	for name, c := range map[string]struct {
		form url.Values
		want int
	}{
		"good":          {good, 200},
		"other grant":   {with(good, "grant_type", "password"), 400},
		"no service":    {with(good, "service", ""), 400},
		"other tenant":  {with(good, "tenant", AppClient), 401},
		"foreign token": {with(good, "access_token", foreign), 401},
		"for the graph": {with(good, "access_token", graph), 401},
		"no token":      {with(good, "access_token", ""), 401},
	} {
		if got, text := send(t, http.MethodPost, f.front+"/oauth2/exchange", nil, c.form); got != c.want {
			t.Errorf("%s: %d %s, want %d", name, got, text, c.want)
		}
	}

	_, text := send(t, http.MethodPost, f.front+"/oauth2/exchange", nil, good)
	refresh := field(t, text, "refresh_token")
	ask := url.Values{"grant_type": {"refresh_token"}, "service": {"shop.azurecr.io"}, "refresh_token": {refresh}, "scope": {"repository:shop/api:pull"}}
	if got, _ := send(t, http.MethodPost, f.front+"/oauth2/token", nil, with(ask, "refresh_token", access)); got != 401 {
		t.Errorf("a token of Entra ID as refresh token: %d", got)
	}
	_, text = send(t, http.MethodPost, f.front+"/oauth2/token", nil, ask)
	pull := field(t, text, "access_token")
	if !f.gate.Check("", pull, "shop/api") || f.gate.Check("", pull, "shop/web") {
		t.Error("the access token is not for its scope, and for nothing else")
	}

	tags := f.front + "/acr/v1/shop/api/_tags"
	if got, _ := send(t, http.MethodGet, tags, http.Header{"Authorization": {"Bearer " + pull}}, nil); got != 401 {
		t.Errorf("tags with the right to pull: %d", got)
	}
	_, text = send(t, http.MethodPost, f.front+"/oauth2/token", nil, with(ask, "scope", "repository:shop/api:metadata_read"))
	read := field(t, text, "access_token")
	for query, want := range map[string]string{
		"": "a b c", "?orderby=timedesc": "b c a", "?orderby=timeasc": "a c b", "?n=2": "a b", "?n=2&last=b": "c", "?orderby=timedesc&last=b": "c a",
	} {
		_, text := send(t, http.MethodGet, tags+query, http.Header{"Authorization": {"Bearer " + read}}, nil)
		var page struct{ Tags []struct{ Name string } }
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tag := range page.Tags {
			got = append(got, tag.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", query, got, want)
		}
	}
	if got, _ := send(t, http.MethodGet, f.front+"/acr/v1/shop/web/_tags", http.Header{"Authorization": {"Bearer " + read}}, nil); got != 401 {
		t.Errorf("tags of another repository: %d", got)
	}
}

func field(t *testing.T, text, name string) string {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(text), &m); err != nil || m[name] == nil {
		t.Fatalf("no %s in %s", name, text)
	}
	return m[name].(string)
}

func TestConfigure(t *testing.T) {
	f := start(t)
	for text, ok := range map[string]bool{
		`{}`: true, `{"life":"2s","no_identity":true,"no_role":["x"],"no_metadata":true,"token_life":"1m","token_audience":"x"}`: true,
		`{"life":"-1s"}`: false, `{"token_life":"soon"}`: false, `{"lief":"1s"}`: false,
	} {
		if err := f.Configure(json.RawMessage(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
