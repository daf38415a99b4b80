package main

import (
	"net/url"
	"strings"
	"testing"
)

func TestIsGoogle(t *testing.T) {
	for host, want := range map[string]bool{
		"gcr.io":                          true,
		"gcr.io:443":                      true,
		"eu.gcr.io":                       true,
		"k8s.gcr.io":                      true,
		"europe-west1-docker.pkg.dev":     true,
		"europe-west1-docker.pkg.dev:443": true,
		"us-docker.pkg.dev":               true,

		"":                              false,
		"gcr.io:80":                     false,
		"gcr.io:":                       false,
		"gcr.io.":                       false,
		".gcr.io":                       false,
		"a.b.gcr.io":                    false,
		"xgcr.io":                       false,
		"gcr.io.example.com":            false,
		"gcr.io@example.com":            false,
		"gcr.io:443@example.com":        false,
		"example.com/gcr.io":            false,
		"example.com#.gcr.io":           false,
		"us-npm.pkg.dev":                false,
		"pkg.dev":                       false,
		"-docker.pkg.dev":               false,
		"docker.pkg.dev":                false,
		"us-docker.pkg.dev.example.com": false,
		"registry.invalid":              false,
	} {
		if got := isGoogle(host); got != want {
			t.Errorf("isGoogle(%q) = %t", host, got)
		}
	}
}

func TestValidHost(t *testing.T) {
	for host, want := range map[string]bool{
		"mirror.corp": true, "mirror.corp:5000": true, "localhost": true, "10.0.0.1:5000": true, "[::1]:5000": true, "Mirror.Corp": true,
		"": false, "https://mirror.corp": false, "mirror.corp/path": false, "*.corp": false, "mirror.corp:": false,
		"mirror.corp:0": false, "mirror.corp:65536": false, "user@mirror.corp": false, "a..b": false, "-a.corp": false,
	} {
		if got := validHost(host); got != want {
			t.Errorf("validHost(%q) = %t", host, got)
		}
	}
}

// A token goes to a host that a URL parser takes for one of Google's, too.
func FuzzIsGoogle(f *testing.F) {
	for _, seed := range []string{"gcr.io", "eu.gcr.io:443", "us-docker.pkg.dev", "gcr.io@x", "x#.gcr.io", "a%2f.gcr.io"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !isGoogle(host) {
			return
		}
		u, err := url.Parse("https://" + host + "/v2/")
		if err != nil {
			t.Fatalf("%q: %v", host, err)
		}
		name := u.Hostname()
		if name != "gcr.io" && !strings.HasSuffix(name, ".gcr.io") && !strings.HasSuffix(name, "-docker.pkg.dev") {
			t.Errorf("%q leads to %q", host, name)
		}
		if u.User != nil || u.Port() != "" && u.Port() != "443" || !validHost(host) {
			t.Errorf("%q is more than a host", host)
		}
	})
}
