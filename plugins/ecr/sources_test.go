package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

func sha256Of(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// openECR opens an instance of the plugin over the wire.
func openECR(t *testing.T, config values) (*client.Registry, *sdktest.Harness) {
	t.Helper()
	h := sdktest.New(t, plugin(), sdktest.Options{})
	if config == nil {
		config = values{}
	}
	return h.Registry("ecr", config), h
}

// mustAnswer asks for a credential that opens the registry.
func mustAnswer(t *testing.T, d *devregistry, r registry.Provider, host string) registry.Credential {
	t.Helper()
	c, err := r.Credential(t.Context(), registry.Request{Host: host, Repository: "shop/api"})
	if err != nil {
		t.Fatalf("Credential for %s: %v", host, err)
	}
	if c.Username != "AWS" || c.Scope != registry.ScopeRegistry || !c.IdentityToken.IsZero() {
		t.Errorf("user %q, scope %q", c.Username, c.Scope)
	}
	if !d.opens(c) {
		t.Errorf("the registry refuses the credential for %s", host)
	}
	return c
}

// TestSources uses every way in which the SDK finds credentials. Who asks is
// seen in the error when a policy forbids it.
func TestSources(t *testing.T) {
	d := startDevregistry(t, "1m")
	const otherRole = "arn:aws:iam::" + otherAccount + ":role/ecr-read"
	files := t.TempDir()
	process := filepath.Join(files, "process")
	write(t, process, "[profile prod]\ncredential_process = cat "+filepath.Join(files, "keys.json")+"\n")
	write(t, filepath.Join(files, "keys.json"), `{"Version":1,"AccessKeyId":"`+d.Env["DEVREGISTRY_AWS_ACCESS_KEY_ID"]+`","SecretAccessKey":"`+d.Env["DEVREGISTRY_AWS_SECRET_ACCESS_KEY"]+`"}`)
	chain := filepath.Join(files, "chain")
	write(t, chain, "[profile prod]\nrole_arn = arn:aws:iam::"+account+":role/ecr-read\ncredential_source = Ec2InstanceMetadata\nrole_session_name = chained\n")
	for _, c := range []struct {
		name   string
		set    func(*devregistry)
		config values
		who    string // ARN of the principal
		host   string // if not home
	}{
		{name: "keys in the environment", set: func(d *devregistry) { d.useKeys() }, who: "arn:aws:iam::" + account + ":user/devregistry"},
		{name: "shared credentials file", set: func(d *devregistry) { d.use("", "AWS_SHARED_CREDENTIALS_FILE") }, who: "arn:aws:iam::" + account + ":user/devregistry"},
		{name: "profile", set: func(d *devregistry) { d.use("", "AWS_SHARED_CREDENTIALS_FILE") }, config: values{"profile": "china"}, who: "arn:aws-cn:iam::" + account + ":user/devregistry", host: china},
		{name: "process", set: func(d *devregistry) { d.t.Setenv("AWS_CONFIG_FILE", process) }, config: values{"profile": "prod"}, who: "arn:aws:iam::" + account + ":user/devregistry"},
		{name: "chain in a profile", set: func(d *devregistry) { d.t.Setenv("AWS_CONFIG_FILE", chain) }, config: values{"profile": "prod"}, who: "arn:aws:sts::" + account + ":assumed-role/ecr-read/chained"},
		{name: "IRSA", set: func(d *devregistry) { d.useIRSA(); d.t.Setenv("AWS_ROLE_SESSION_NAME", "scanner") }, who: "arn:aws:sts::" + account + ":assumed-role/irsa/scanner"},
		{name: "Pod Identity", set: func(d *devregistry) { d.usePodIdentity() }, who: "arn:aws:sts::" + account + ":assumed-role/pod/eks-devregistry-sluice"},
		{name: "instance role", set: func(*devregistry) {}, who: "arn:aws:sts::" + account + ":assumed-role/node/i-0123456789abcdef0"},
		{name: "assumed role, from keys", set: func(d *devregistry) { d.useKeys() }, config: values{"assume_role": "arn:aws:iam::" + account + ":role/ecr-read"}, who: "arn:aws:sts::" + account + ":assumed-role/ecr-read/sluice"},
		{name: "assumed role of another account, from IRSA", set: func(d *devregistry) { d.useIRSA() },
			config: values{"assume_role": otherRole, "external_id": "devregistry", "session_name": "scan"}, who: "arn:aws:sts::" + otherAccount + ":assumed-role/ecr-read/scan"},
		{name: "assumed role, from the instance's", set: func(*devregistry) {}, config: values{"assume_role": otherRole, "external_id": "devregistry"}, who: "arn:aws:sts::" + otherAccount + ":assumed-role/ecr-read/sluice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := d.in(t)
			clearCredentials(t)
			c.set(d)
			r, h := openECR(t, c.config)
			host := home
			if c.host != "" {
				host = c.host
			}
			d.knobs(values{})
			got := mustAnswer(t, d, r, host)
			if left := time.Until(got.ExpiresAt); left < 50*time.Second || left > 61*time.Second {
				t.Errorf("the password lives for %v, not for a minute", left)
			}
			if strings.Contains(h.Log(), got.Password.Reveal()) {
				t.Error("the password is in the log")
			}
			d.knobs(values{"deny": []values{{"action": "ecr:GetAuthorizationToken"}}})
			_, err := r.Credential(t.Context(), registry.Request{Host: host})
			if err == nil || !strings.Contains(err.Error(), "User: "+c.who+" is not authorized") || !strings.Contains(err.Error(), "allow ecr:GetAuthorizationToken") {
				t.Errorf("denied: %v; want that it names %s", err, c.who)
			}
		})
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// clearCredentials forgets what an earlier case has set.
func clearCredentials(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "AWS_ENDPOINT_URL") && name != "AWS_EC2_METADATA_SERVICE_ENDPOINT" {
			t.Setenv(name, "")
		}
	}
}

// TestRotation lets passwords and sessions expire over and over. Each new
// password opens the registry, and none is handed out when it has expired.
func TestRotation(t *testing.T) {
	d := startDevregistry(t, "250ms")
	d.useIRSA()
	r, _ := openECR(t, values{"assume_role": "arn:aws:iam::" + account + ":role/ecr-read"})
	const rotations = 20
	for range rotations {
		c := mustAnswer(t, d, r, home)
		waitUntil(t, func() bool { return !d.opens(c) })
		if time.Until(c.ExpiresAt) > 0 {
			t.Errorf("the password was refused %v before it expired", time.Until(c.ExpiresAt))
		}
	}
}

// waitUntil looks again and again until done.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it does not come")
		}
	}
}

// TestFilesRotate replaces what credentials are made from, and ends the
// sessions that were made from it.
func TestFilesRotate(t *testing.T) {
	d := startDevregistry(t, "1m")
	for _, c := range []struct {
		name string
		set  func(*devregistry)
		turn values
	}{
		{"IRSA", (*devregistry).useIRSA, values{"rotate_issuer": true, "revoke_sessions": true}},
		{"Pod Identity", (*devregistry).usePodIdentity, values{"rotate_issuer": true, "revoke_sessions": true}},
		{"shared credentials file", func(d *devregistry) { d.use("", "AWS_SHARED_CREDENTIALS_FILE") }, values{"rotate_keys": true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := d.in(t)
			clearCredentials(t)
			c.set(d)
			r, _ := openECR(t, nil)
			for range 3 {
				mustAnswer(t, d, r, home)
				d.knobs(c.turn)
			}
			mustAnswer(t, d, r, home)
		})
	}
}

// TestConcurrent asks for several registries at the same time, while sessions
// end.
func TestConcurrent(t *testing.T) {
	d := startDevregistry(t, "1m")
	r, _ := openECR(t, nil)
	hosts := []string{home, foreign, account + ".dkr.ecr.us-east-1.amazonaws.com", publicHost}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			for range 3 {
				if _, err := r.Credential(t.Context(), registry.Request{Host: hosts[i%len(hosts)], Repository: "a"}); err != nil {
					t.Errorf("Credential for %s: %v", hosts[i%len(hosts)], err)
				}
			}
		})
	}
	d.knobs(values{"revoke_sessions": true})
	wg.Wait()
}

func TestClockSkew(t *testing.T) {
	d := startDevregistry(t, "1m")
	d.useIRSA()
	for _, skew := range []string{"45m", "-45m"} {
		d.knobs(values{"skew": skew})
		r, _ := openECR(t, nil)
		c := mustAnswer(t, d, r, home)
		if left := time.Until(c.ExpiresAt); left < 50*time.Second || left > 70*time.Second {
			t.Errorf("with AWS's clock off by %s the password seems to live for %v, not for a minute", skew, left)
		}
	}
}

func TestConfiguredScope(t *testing.T) {
	startDevregistry(t, "1m")
	r, _ := openECR(t, values{"regions": []string{"eu-west-1", "us-east-1"}, "accounts": []string{account, otherAccount}, "exclude_accounts": []string{otherAccount}})
	for host, why := range map[string]string{
		home:    "",
		foreign: "leaves out account " + otherAccount + " in eu-west-1",
		account + ".dkr.ecr.us-east-1.amazonaws.com":      "",
		account + ".dkr.ecr.us-west-2.amazonaws.com":      "leaves out account",
		"999999999999.dkr.ecr.eu-west-1.amazonaws.com":    "leaves out account",
		account + ".dkr.ecr.eu-west-1.amazonaws.com:5000": "no registry of ECR",
		"gcr.io":         "gcr.io is no registry of ECR",
		"public.ecr.aws": "",
	} {
		_, err := r.Credential(t.Context(), registry.Request{Host: host, Repository: "a"})
		if why == "" && err != nil || why != "" && (!errors.Is(err, registry.ErrAnonymous) || !strings.Contains(err.Error(), why)) {
			t.Errorf("Credential for %s: %v; want %q", host, err, why)
		}
	}
}

func TestConformance(t *testing.T) {
	d := startDevregistry(t, "1m")
	d.push("shop/api", []string{"v1", "v2"})
	sdktest.Registry(t, plugin(), "ecr", values{}, []registry.Request{{Host: home, Repository: "shop/api"}, {Host: foreign, Repository: "shop/api"}})
}
