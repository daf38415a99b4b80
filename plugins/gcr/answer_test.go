package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// Each failure names what was tried and what to do, and no secret.
func TestErrors(t *testing.T) {
	d := startDevregistry(t, "60s")
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	edited := func(from, name, value string) string {
		b, err := os.ReadFile(d.file(from))
		if err != nil {
			t.Fatal(err)
		}
		m := values{}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		m[name] = value
		if b, err = json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		return write(name+".json", string(b))
	}
	const (
		reader = "reader@devregistry.iam.gserviceaccount.com"
		locked = "locked@devregistry.iam.gserviceaccount.com"
	)
	for _, c := range []struct {
		name   string
		config values
		want   []string
	}{
		{"no file", values{"key_file": dir + "/none.json"}, []string{`key_file "` + dir + `/none.json": cannot be read: no such file`}},
		{"a directory", values{"key_file": dir}, []string{"cannot be read: is a directory"}},
		{"the bare key", values{"key_file": write("key.pem", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n")}, []string{"is not JSON: a credential file is what"}},
		{"wrong type", values{"key_file": write("client.json", `{"type":"web","client_secret":"s3cret"}`)}, []string{`has the type "web"`}},
		{"no key in it", values{"key_file": write("empty.json", `{"type":"service_account","client_email":"a@b.c"}`)}, []string{"empty.json"}},
		{"deleted key", values{"key_file": edited("service-account.json", "private_key_id", "gone")},
			[]string{"answered 400 Bad Request: invalid_grant: Invalid JWT", "the key of key@devregistry.iam.gserviceaccount.com has been deleted"}},
		{"unknown account", values{"key_file": edited("service-account.json", "client_email", "x@devregistry.iam.gserviceaccount.com")},
			[]string{"invalid_grant", "the key of x@devregistry"}},
		{"revoked login", values{"key_file": edited("authorized-user.json", "refresh_token", "1//s3cret")},
			[]string{"oauth2.googleapis.com answered 400", "log in again with gcloud"}},
		{"no such target", values{"key_file": d.file("service-account.json"), "impersonate": "x@devregistry.iam.gserviceaccount.com"},
			[]string{`impersonate "x@devregistry.iam.gserviceaccount.com" with the credentials of the key_file`, "404", "there is no such service account"}},
		{"locked target", values{"key_file": d.file("service-account.json"), "impersonate": locked},
			[]string{"iamcredentials.googleapis.com answered 403", "PERMISSION_DENIED", "grant roles/iam.serviceAccountTokenCreator"}},
		{"not from itself", values{"key_file": d.file("impersonated.json"), "impersonate": reader}, []string{"403"}},
		{"nothing listens", values{"key_file": edited("external-account.json", "token_url", "http://127.0.0.1:1/v1/token")}, []string{"no answer from 127.0.0.1:1: ", "connection refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, h := open(t, d.redirect(), c.config)
			_, err := r.Credential(t.Context(), image)
			if err == nil || errors.Is(err, registry.ErrAnonymous) {
				t.Fatalf("error %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
			for _, secret := range []string{"s3cret", "ya29.", "MIIE", "eyJ"} {
				if strings.Contains(err.Error(), secret) || strings.Contains(h.Log(), secret) {
					t.Errorf("%q is in the error or the log: %v", secret, err)
				}
			}
		})
	}
}

// A server that does not answer costs the timeout, no more.
func TestTimeout(t *testing.T) {
	d := startDevregistry(t, "60s")
	file := d.file("authorized-user.json")
	synctest.Test(t, func(t *testing.T) {
		hang := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		r, _ := open(t, hang, values{"key_file": file, "timeout": "3s"})
		start := time.Now()
		_, err := r.Credential(t.Context(), image)
		if err == nil || !strings.Contains(err.Error(), "no answer from oauth2.googleapis.com: context deadline exceeded") || time.Since(start) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

func TestDescribe(t *testing.T) {
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzbHVpY2UifQ.c2lnbmF0dXJl"
	for body, want := range map[string]string{
		`{"error":"invalid_grant","error_description":"Bad Request"}`:           "invalid_grant: Bad Request",
		`{"error":"invalid_grant"}`:                                             "invalid_grant",
		`{"error":{"code":403,"message":"No.","status":"PERMISSION_DENIED"}}`:   "PERMISSION_DENIED: No.",
		`<!DOCTYPE html><title>502</title>`:                                     "",
		"two\nlines\x00":                                                        "two lines",
		`{"error":"invalid_grant","error_description":"the token ` + jwt + `"}`: "invalid_grant: the token (redacted)",
		"token ya29.a0AfH6SMBx refused":                                         "token (redacted) refused",
		strings.Repeat("x", 64):                                                 "(redacted)",
		strings.Repeat("word ", 100):                                            strings.Repeat("word ", 60) + "...",
		"":                                                                      "",
	} {
		if got := describe([]byte(body)); got != want {
			t.Errorf("describe(%q) = %q, want %q", body, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
		for value, want := range map[string]time.Duration{
			"": 0, "5": 5 * time.Second, date: 90 * time.Second, "-1": 0, "soon": 0,
			"Mon, 01 Jan 1990 00:00:00 GMT": 0, "99999999999999999999": 0,
		} {
			if got := retryAfter(http.Header{"Retry-After": {value}}); got != want {
				t.Errorf("%q: %s, want %s", value, got, want)
			}
		}
	})
}
