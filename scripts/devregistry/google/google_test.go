package google

import (
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
	*Google
	gate *gate.Gate
	url  string
	env  map[string]string
}

func start(t *testing.T) fake {
	t.Helper()
	g := &gate.Gate{}
	c, err := New(cloud.Options{Gate: g, Life: time.Minute, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c.Endpoints()["google"].Handler)
	t.Cleanup(server.Close)
	env, err := c.Start(map[string]string{"google": server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return fake{c.(*Google), g, server.URL, env}
}

// send sends r, with a form if there is one.
func (f fake) send(t *testing.T, method, path string, header http.Header, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
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

var form = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

func TestMetadata(t *testing.T) {
	f := start(t)
	const token = "/computeMetadata/v1/instance/service-accounts/default/token"
	flavour := http.Header{"Metadata-Flavor": {"Google"}}
	for _, c := range []struct {
		name   string
		path   string
		header http.Header
		want   int
	}{
		{"token", token, flavour, 200},
		{"email", "/computeMetadata/v1/instance/service-accounts/default/email", flavour, 200},
		{"probe", "/", flavour, 200},
		{"without the header", token, http.Header{}, 403},
		{"through a proxy", token, http.Header{"Metadata-Flavor": {"Google"}, "X-Forwarded-For": {"10.0.0.1"}}, 403},
		{"another account", "/computeMetadata/v1/instance/service-accounts/other/token", flavour, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, text := f.send(t, http.MethodGet, c.path, c.header, ""); got != c.want {
				t.Errorf("%d %s, want %d", got, text, c.want)
			}
		})
	}
	_, text := f.send(t, http.MethodGet, token, flavour, "")
	var a struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || !f.gate.Check(user, a.Token, "any/repository") {
		t.Errorf("the gate does not know the token of %s, %v", text, err)
	}
}

// What a client could get wrong, and an attacker could try, is refused.
func TestRefusals(t *testing.T) {
	f := start(t)
	mine, err := signed.NewRSAKey("mine")
	if err != nil {
		t.Fatal(err)
	}
	assertion := func(k *signed.Key, issuer, audience string, life time.Duration) string {
		token, err := k.Sign(signed.New(issuer, "", audience, life))
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{"grant_type": {grantJWT}, "assertion": {token}}.Encode()
	}
	exchange := func(change ...string) string {
		subject, err := os.ReadFile(f.subjectFile())
		if err != nil {
			t.Fatal(err)
		}
		v := url.Values{"grant_type": {grantExchange}, "audience": {provider}, "scope": {"x"}, "requested_token_type": {typeAccess},
			"subject_token_type": {typeJWT}, "subject_token": {strings.TrimSpace(string(subject))}}
		for i := 0; i < len(change); i += 2 {
			v.Set(change[i], change[i+1])
		}
		return v.Encode()
	}
	subject := func(issuer, audience string, life time.Duration) string {
		token, err := f.issuer.Sign(signed.New(issuer, subject, audience, life))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	endpoint := f.url + "/token"
	for _, c := range []struct {
		name, path, body string
		want             int
		text             string
	}{
		{"good key", "/token", assertion(f.account, KeyAccount, endpoint, time.Hour), 200, ""},
		{"other key", "/token", assertion(mine, KeyAccount, endpoint, time.Hour), 400, "unknown key"},
		{"other account", "/token", assertion(f.account, MachineAccount, endpoint, time.Hour), 400, "account not found"},
		{"other audience", "/token", assertion(f.account, KeyAccount, "https://example.com", time.Hour), 400, "audience"},
		{"too long a life", "/token", assertion(f.account, KeyAccount, endpoint, 2*time.Hour), 400, "lives longer"},
		{"expired", "/token", assertion(f.account, KeyAccount, endpoint, -time.Hour), 400, "expired"},
		{"no assertion", "/token", "grant_type=" + grantJWT, 400, "not a JSON web token"},
		{"unknown grant", "/token", "grant_type=password", 400, "unsupported_grant_type"},
		{"unknown client", "/token", "grant_type=refresh_token&client_id=x", 401, "invalid_client"},

		{"good exchange", "/v1/token", exchange(), 200, ""},
		{"other pool", "/v1/token", exchange("audience", "//iam.googleapis.com/other"), 400, "audience"},
		{"no scope", "/v1/token", exchange("scope", ""), 400, "invalid_scope"},
		{"other issuer", "/v1/token", exchange("subject_token", subject("https://example.com", audience, time.Hour)), 400, "does not match the expected ones"},
		{"token for others", "/v1/token", exchange("subject_token", subject(f.url+"/issuer", "https://example.com", time.Hour)), 400, "expected audience"},
		{"expired token", "/v1/token", exchange("subject_token", subject(f.url+"/issuer", audience, -time.Second)), 400, "expired"},
		{"no token", "/v1/token", exchange("subject_token", ""), 400, "not a JSON web token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, text := f.send(t, http.MethodPost, c.path, form, c.body)
			if got != c.want || !strings.Contains(text, c.text) {
				t.Errorf("%d %s, want %d %s", got, text, c.want, c.text)
			}
		})
	}
}

func TestGenerate(t *testing.T) {
	f := start(t)
	key, _ := f.issue(KeyAccount)
	reader, _ := f.issue(ReaderAccount)
	for _, c := range []struct {
		name, account, token, body string
		want                       int
	}{
		{"good", ReaderAccount, key, `{"scope":["x"]}`, 200},
		{"no token", ReaderAccount, "", `{"scope":["x"]}`, 401},
		{"unknown token", ReaderAccount, "ya29.x", `{"scope":["x"]}`, 401},
		{"no scope", ReaderAccount, key, `{}`, 400},
		{"no body", ReaderAccount, key, ``, 400},
		{"unknown account", "x@y.z", key, `{"scope":["x"]}`, 404},
		{"locked account", LockedAccount, key, `{"scope":["x"]}`, 403},
		{"by itself", ReaderAccount, reader, `{"scope":["x"]}`, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := "/v1/projects/-/serviceAccounts/" + c.account + ":generateAccessToken"
			if got, text := f.send(t, http.MethodPost, path, http.Header{"Authorization": {"Bearer " + c.token}}, c.body); got != c.want {
				t.Errorf("%d %s, want %d", got, text, c.want)
			}
		})
	}
}

func TestConfigure(t *testing.T) {
	f := start(t)
	for text, ok := range map[string]bool{
		`{}`: true, `{"life":"2s","no_account":true,"subject_life":"1m"}`: true,
		`{"life":"-1s"}`: false, `{"life":"soon"}`: false, `{"lief":"1s"}`: false, `[]`: false,
	} {
		if err := f.Configure(json.RawMessage(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, name := range []string{"service-account.json", "external-account.json", "external-account-reader.json", "impersonated.json", "authorized-user.json"} {
		text, err := os.ReadFile(filepath.Join(f.env["DEVREGISTRY_GOOGLE_DIR"], name))
		if err != nil || !json.Valid(text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
