package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// failing asks for a credential that cannot be had.
func failing(t *testing.T, config values, host string) error {
	t.Helper()
	r, h := openECR(t, config)
	_, err := r.Credential(t.Context(), registry.Request{Host: host, Repository: "shop/api"})
	if err == nil {
		t.Fatalf("a credential for %s", host)
	}
	t.Log(err)
	checkSecrets(t, h.Log()+err.Error())
	return err
}

// checkSecrets fails if one of the secrets of the environment stands in text.
func checkSecrets(t *testing.T, text string) {
	t.Helper()
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if value := os.Getenv(name); value != "" && strings.Contains(text, value) {
			t.Errorf("%s stands in %q", name, text)
		}
	}
}

func checkWords(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nlacks %q", err, w)
		}
	}
}

func TestErrors(t *testing.T) {
	d := startDevregistry(t, "1m")
	for _, c := range []struct {
		name   string
		set    func(*devregistry)
		knobs  values
		config values
		host   string
		want   []string
	}{
		{name: "no credentials at all", set: func(d *devregistry) { d.t.Setenv("AWS_EC2_METADATA_DISABLED", "true") },
			want: []string{"account 123456789012 in eu-west-1", "no AWS credentials", "AWS_ACCESS_KEY_ID", "IRSA", "shared configuration files", "Pod Identity", "switched off (AWS_EC2_METADATA_DISABLED)"}},
		{name: "instance without a role", knobs: values{"imds": values{"no_role": true}}, want: []string{"no AWS credentials", "the instance has no role"}},
		{name: "no metadata service", set: func(d *devregistry) { d.t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1") },
			want: []string{"no AWS credentials", "does not answer", "hop limit"}},
		{name: "metadata service forbidden", knobs: values{"imds": values{"off": true}}, want: []string{"no AWS credentials", "answers with status 403"}},
		{name: "metadata service of another cloud", set: func(d *devregistry) { d.t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", d.Endpoints["pod-identity"]) },
			want: []string{"no AWS credentials"}},
		{name: "denied", knobs: values{"deny": []values{{"action": "ecr:*"}}},
			want: []string{"ecr:GetAuthorizationToken is denied to the credentials of the instance's role", "assumed-role/node/", `allow ecr:GetAuthorizationToken on "*"`}},
		{name: "role that may not be assumed", config: values{"assume_role": "arn:aws:iam::" + otherAccount + ":role/ecr-read", "external_id": "wrong"},
			want: []string{"sts:AssumeRole is denied to", "assumed-role/node/", "trust policy"}},
		{name: "IRSA that is not trusted", set: func(d *devregistry) { d.useIRSA(); d.t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/other") },
			want: []string{"sts:AssumeRoleWithWebIdentity is denied", "trust policy"}},
		{name: "token for another audience", set: func(d *devregistry) {
			d.useIRSA()
			d.t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", d.Env["DEVREGISTRY_AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
		}, want: []string{"STS does not take the service account's token (AWS_WEB_IDENTITY_TOKEN_FILE) (InvalidIdentityToken)", "Incorrect token audience", "OIDC provider"}},
		{name: "no token file", set: func(d *devregistry) { d.useIRSA(); d.t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token") }, want: []string{"the AWS credentials cannot be had: ", "/no/such/token", "no such file"}},
		{name: "no profile", config: values{"profile": "nobody"}, want: []string{"nobody"}},
		{name: "unknown key", set: func(d *devregistry) { d.useKeys(); d.t.Setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN") },
			want: []string{"AWS does not take the credentials in the environment (UnrecognizedClientException)"}},
		{name: "wrong secret", set: func(d *devregistry) { d.useKeys(); d.t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-key") },
			want: []string{"AWS does not take the credentials in the environment (InvalidSignatureException)"}},
		{name: "wrong partition", set: func(d *devregistry) { d.useKeys() }, host: china, want: []string{"account 123456789012 in cn-north-1", "belong to the partition aws-cn"}},
		{name: "no endpoint", set: func(d *devregistry) { d.useKeys(); d.t.Setenv("AWS_ENDPOINT_URL_ECR", "http://127.0.0.1:1") }, want: []string{"ECR cannot be asked: http://127.0.0.1:1", "connection refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := d.in(t)
			clearCredentials(t)
			t.Setenv("AWS_MAX_ATTEMPTS", "1")
			if c.set != nil {
				c.set(d)
			}
			if c.knobs == nil {
				c.knobs = values{}
			}
			d.knobs(c.knobs)
			host := home
			if c.host != "" {
				host = c.host
			}
			err := failing(t, c.config, host)
			checkWords(t, err, c.want...)
			if errors.Is(err, registry.ErrAnonymous) {
				t.Errorf("%v counts as anonymous", err)
			}
		})
	}
}

// podSession are temporary credentials, as the agent of Pod Identity gives them.
type podSession struct{ AccessKeyId, SecretAccessKey, Token string }

func (d *devregistry) podSession() podSession {
	d.t.Helper()
	token, err := os.ReadFile(d.Env["DEVREGISTRY_AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
	if err != nil {
		d.t.Fatal(err)
	}
	_, text := d.do(http.MethodGet, d.Env["DEVREGISTRY_AWS_CONTAINER_CREDENTIALS_FULL_URI"], nil, func(r *http.Request) { r.Header.Set("Authorization", string(token)) })
	var s podSession
	if err := json.Unmarshal([]byte(text), &s); err != nil || s.Token == "" {
		d.t.Fatalf("no credentials of the agent: %s", text)
	}
	return s
}

// TestSignatureHidesToken: AWS answers a wrong signature with what should have
// been signed, the session token included.
func TestSignatureHidesToken(t *testing.T) {
	d := startDevregistry(t, "1m")
	s := d.podSession()
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKeyId)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-key")
	t.Setenv("AWS_SESSION_TOKEN", s.Token)
	checkWords(t, failing(t, nil, home), "InvalidSignatureException")
	checkWords(t, failing(t, values{"assume_role": "arn:aws:iam::" + account + ":role/ecr-read"}, home), "SignatureDoesNotMatch")
}

func TestExpiredSession(t *testing.T) {
	d := startDevregistry(t, "1m")
	files := t.TempDir()
	config := filepath.Join(files, "config")
	s := d.podSession()
	write(t, config, "[default]\naws_access_key_id="+s.AccessKeyId+"\naws_secret_access_key="+s.SecretAccessKey+"\naws_session_token="+s.Token+"\n")
	t.Setenv("AWS_CONFIG_FILE", config)
	r, _ := openECR(t, nil)
	mustAnswer(t, d, r, home)
	d.knobs(values{"revoke_sessions": true})
	_, err := r.Credential(t.Context(), registry.Request{Host: home})
	if err == nil {
		t.Fatal("a credential with an expired session")
	}
	checkWords(t, err, "the credentials in the shared configuration files have expired", "ExpiredTokenException")
	if strings.Contains(err.Error(), s.Token) || strings.Contains(err.Error(), s.SecretAccessKey) {
		t.Errorf("a secret stands in %v", err)
	}
}

func TestThrottling(t *testing.T) {
	d := startDevregistry(t, "1m")
	d.useKeys()
	r, _ := openECR(t, nil)
	d.knobs(values{"throttle": []values{{"action": "ecr:GetAuthorizationToken", "count": 1}}})
	mustAnswer(t, d, r, home) // the SDK has tried again

	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	for _, c := range []struct {
		name  string
		after int
		want  time.Duration
	}{{"without a time", 0, defaultDelay}, {"with one", 7, 7 * time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			d := d.in(t)
			r, _ := openECR(t, nil)
			d.knobs(values{"throttle": []values{{"action": "ecr:GetAuthorizationToken", "count": 1, "retry_after": c.after}}})
			_, err := r.Credential(t.Context(), registry.Request{Host: home})
			if err == nil {
				t.Fatal("no error")
			}
			if after, ok := sdk.RetryDelay(err); !ok || after != c.want {
				t.Errorf("%v is to be tried again after %v; want %v", err, after, c.want)
			}
			checkWords(t, err, "ecr:GetAuthorizationToken is throttled")
			mustAnswer(t, d, r, home)
		})
	}
}

// TestPublicRegistry is about public.ecr.aws, which needs no credentials.
func TestPublicRegistry(t *testing.T) {
	d := startDevregistry(t, "1m")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	r, h := openECR(t, nil)
	mustAnswer(t, d, r, publicHost)

	d.knobs(values{"deny": []values{{"action": "ecr-public:*"}}})
	for range 2 {
		if _, err := r.Credential(t.Context(), registry.Request{Host: publicHost}); !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("denied: %v; want ErrAnonymous", err)
		}
	}
	if n := strings.Count(h.Log(), "public images are read anonymously"); n != 1 || !strings.Contains(h.Log(), "sts:GetServiceBearerToken") {
		t.Errorf("the log says it %d times, not once:\n%s", n, h.Log())
	}

	t.Run("on another cloud", func(t *testing.T) {
		d := d.in(t)
		d.knobs(values{"imds": values{"off": true}})
		r, _ := openECR(t, nil)
		if _, err := r.Credential(t.Context(), registry.Request{Host: publicHost}); !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("%v; want ErrAnonymous", err)
		}
	})
	t.Run("no credentials", func(t *testing.T) {
		t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		r, _ := openECR(t, nil)
		if _, err := r.Credential(t.Context(), registry.Request{Host: publicHost}); !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("%v; want ErrAnonymous", err)
		}
		if _, err := list(t, r, publicHost, "devregistry/x"); !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("Tags: %v; want ErrAnonymous", err)
		}
	})
	t.Run("china", func(t *testing.T) {
		d := d.in(t)
		d.use("CN_", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
		r, _ := openECR(t, nil)
		mustAnswer(t, d, r, china)
		if _, err := r.Credential(t.Context(), registry.Request{Host: publicHost}); !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("%v; want ErrAnonymous", err)
		}
	})
	t.Run("throttled", func(t *testing.T) {
		d := d.in(t)
		d.knobs(values{"throttle": []values{{"action": "ecr-public:GetAuthorizationToken", "count": 1}}})
		r, _ := openECR(t, nil)
		if _, err := r.Credential(t.Context(), registry.Request{Host: publicHost}); err == nil || errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("%v; want an error: there are credentials", err)
		}
	})
}
