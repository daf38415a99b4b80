package aws

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/gate"
)

// What signed requests get is tested with Amazon's own SDK, in plugins/ecr.

func newFake(t *testing.T) (*fake, map[string]cloud.Endpoint) {
	t.Helper()
	c, err := New(cloud.Options{
		Gate: &gate.Gate{}, Life: time.Minute, Registry: "127.0.0.1:1", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
		Tags: func(context.Context, string) ([]cloud.Tag, error) { return nil, cloud.ErrNoRepository },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.(*fake), c.Endpoints()
}

// ask sends a request to an endpoint.
func ask(h http.Handler, method, path, body string, header ...string) (status int, answer string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Body) // of memory
	return w.Code, string(text)
}

func TestMetadataWantsVersion2(t *testing.T) {
	f, endpoints := newFake(t)
	imds := endpoints["imds"].Handler
	const roles, tokens = "/latest/meta-data/iam/security-credentials/", "/latest/api/token"
	for _, c := range []struct {
		name, method, path string
		header             []string
		want               int
	}{
		{"version 1", "GET", roles, nil, http.StatusUnauthorized},
		{"invented token", "GET", roles, []string{imdsTokenHeader, "x"}, http.StatusUnauthorized},
		{"no time", "PUT", tokens, nil, http.StatusBadRequest},
		{"too long a time", "PUT", tokens, []string{imdsTTLHeader, "21601"}, http.StatusBadRequest},
		{"through a proxy", "PUT", tokens, []string{imdsTTLHeader, "60", "X-Forwarded-For", "10.0.0.1"}, http.StatusForbidden},
		{"token with GET", "GET", tokens, []string{imdsTTLHeader, "60"}, http.StatusMethodNotAllowed},
	} {
		if status, text := ask(imds, c.method, c.path, "", c.header...); status != c.want {
			t.Errorf("%s: %d %s; want %d", c.name, status, text, c.want)
		}
	}
	_, token := ask(imds, "PUT", tokens, "", imdsTTLHeader, "60")
	_, role := ask(imds, "GET", roles, "", imdsTokenHeader, token)
	status, text := ask(imds, "GET", roles+role, "", imdsTokenHeader, token)
	var got struct{ Code, AccessKeyId string }
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK || got.Code != "Success" || !f.iam.valid(got.AccessKeyId) {
		t.Errorf("credentials of %s: %d %s", role, status, text)
	}
	if err := f.Configure(json.RawMessage(`{"imds":{"no_role":true}}`)); err != nil {
		t.Fatal(err)
	}
	if status, _ := ask(imds, "GET", roles, "", imdsTokenHeader, token); status != http.StatusNotFound {
		t.Errorf("an instance without a role: %d; want 404", status)
	}
}

func TestUnsigned(t *testing.T) {
	_, endpoints := newFake(t)
	api, pod := endpoints["aws"].Handler, endpoints["pod-identity"].Handler
	for _, c := range []struct {
		name string
		call func() (int, string)
		want string
	}{
		{"ECR", func() (int, string) {
			return ask(api, "POST", "/", "{}", "X-Amz-Target", ecrTarget+"GetAuthorizationToken")
		}, "MissingAuthenticationTokenException"},
		{"ECR Public", func() (int, string) {
			return ask(api, "POST", "/", "{}", "X-Amz-Target", publicTarget+"GetAuthorizationToken")
		}, "MissingAuthenticationTokenException"},
		{"STS", func() (int, string) { return ask(api, "POST", "/", "Action=AssumeRole") }, "<Code>MissingAuthenticationToken</Code>"},
		{"STS without a token", func() (int, string) { return ask(api, "POST", "/", "Action=AssumeRoleWithWebIdentity") }, "<Code>InvalidIdentityToken</Code>"},
		{"half a header", func() (int, string) {
			return ask(api, "POST", "/", "{}", "X-Amz-Target", ecrTarget+"DescribeImages", "Authorization", algorithm+" Credential=a/b/c/d/aws4_request")
		}, "IncompleteSignatureException"},
		{"another service", func() (int, string) { return ask(api, "POST", "/", "{}", "X-Amz-Target", "DynamoDB_20120810.GetItem") }, "UnknownOperationException"},
		{"Pod Identity", func() (int, string) { return ask(pod, "GET", podIdentityPath, "") }, "InvalidTokenException"},
	} {
		if status, text := c.call(); status/100 != 4 || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s; want %s", c.name, status, text, c.want)
		}
	}
}

func TestConfigure(t *testing.T) {
	f, _ := newFake(t)
	for _, text := range []string{`{"lief":"1s"}`, `{"token_life":1}`, `{"token_life":"0s"}`, `{"session_life":"-1s"}`, `{`} {
		if err := f.Configure(json.RawMessage(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	if err := f.Configure(json.RawMessage(`{"deny":[{"action":"ecr:Describe*","account":"1"}]}`)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		action, account string
		want            bool
	}{{"ecr:DescribeImages", "1", true}, {"ecr:DescribeImages", "2", false}, {"ecr:GetAuthorizationToken", "1", false}} {
		if got := f.denied(c.action, c.account, "arn:aws:iam::1:user/u"); got != c.want {
			t.Errorf("%s of %s is denied: %v; want %v", c.action, c.account, got, c.want)
		}
	}
}
