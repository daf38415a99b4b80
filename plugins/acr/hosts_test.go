package main

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseHost(t *testing.T) {
	for host, want := range map[string]string{
		"shop.azurecr.io":      "azurecr.io",
		"shop.azurecr.io:443":  "azurecr.io",
		"shop-a1b2.azurecr.io": "azurecr.io",
		"shop.azurecr.cn":      "azurecr.cn",
		"shop.azurecr.us":      "azurecr.us",
		"shop.azurecr.de":      "azurecr.de",

		"":                            "",
		"azurecr.io":                  "",
		".azurecr.io":                 "",
		"shop.azurecr.io.":            "",
		"shop.azurecr.io:":            "",
		"shop.azurecr.io:5000":        "",
		"shop.azurecr.com":            "",
		"shop.westeu.data.azurecr.io": "",
		"shop.azurecr.io.example.com": "",
		"shop.azurecr.io@example.com": "",
		"example.com/shop.azurecr.io": "",
		"example.com#.azurecr.io":     "",
		"user@shop.azurecr.io":        "",
		"mcr.microsoft.com":           "",
		"registry.invalid":            "",
	} {
		if got, ok := parseHost(host); got != want || ok != (want != "") {
			t.Errorf("parseHost(%q) = %q, %t; want %q", host, got, ok, want)
		}
	}
}

func TestCloudOf(t *testing.T) {
	c := Config{Hosts: []string{"Registry.Corp:5000"}}
	for host, want := range map[string]string{
		"shop.azurecr.io":    "https://login.microsoftonline.com/",
		"SHOP.azurecr.io":    "https://login.microsoftonline.com/",
		"shop.azurecr.cn":    "https://login.chinacloudapi.cn/",
		"shop.azurecr.us":    "https://login.microsoftonline.us/",
		"registry.corp:5000": "https://login.microsoftonline.com/",
		"registry.corp":      "",
	} {
		got, ok := c.cloudOf(host)
		if got != want || ok != (want != "") {
			t.Errorf("cloudOf(%q) = %q, %t; want %q", host, got, ok, want)
		}
		if ok && !knownAuthority(got) {
			t.Errorf("%q is not known", got)
		}
	}
	if knownAuthority("https://login.microsoftonline.com.example.com/") || knownAuthority("https://127.0.0.1:1/") {
		t.Error("authorities of others are known")
	}
}

// A token goes to a host that a URL parser takes for one of Azure's, too.
func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{"shop.azurecr.io", "shop.azurecr.cn:443", "shop.azurecr.io@x", "x#.azurecr.io", "a%2f.azurecr.io"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		domain, ok := parseHost(host)
		if !ok {
			return
		}
		u, err := url.Parse("https://" + host + "/oauth2/exchange")
		if err != nil {
			t.Fatalf("%q: %v", host, err)
		}
		if !strings.HasSuffix(u.Hostname(), "."+domain) || u.User != nil || u.Port() != "" && u.Port() != "443" || !validHost(host) {
			t.Errorf("%q leads to %q", host, u.Host)
		}
	})
}
