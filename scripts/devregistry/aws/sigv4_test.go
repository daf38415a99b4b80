package aws

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The example of Amazon's documentation ("Examples of the complete Signature
// Version 4 signing process").
const (
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	exampleHeader = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
		"SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
)

func exampleRequest(t *testing.T) (*http.Request, signed) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	s, err := parseSigned(exampleHeader)
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

func TestVerify(t *testing.T) {
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		change func(r *http.Request)
		secret string
		now    time.Time
		want   string // part of the error; empty: none
	}{
		{"the example", func(*http.Request) {}, exampleSecret, at, ""},
		{"within the five minutes", func(*http.Request) {}, exampleSecret, at.Add(4 * time.Minute), ""},
		{"wrong secret", func(*http.Request) {}, "other", at, "does not match"},
		{"changed query", func(r *http.Request) { r.URL.RawQuery = "Action=DeleteUser&Version=2010-05-08" }, exampleSecret, at, "does not match"},
		{"changed header", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, exampleSecret, at, "does not match"},
		{"changed host", func(r *http.Request) { r.Host = "example.com" }, exampleSecret, at, "does not match"},
		{"changed day", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20150831T123600Z") }, exampleSecret, at, "Credential scope"},
		{"unsigned token", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "t") }, exampleSecret, at, "'x-amz-security-token' must be a 'SignedHeader'"},
		{"too late", func(*http.Request) {}, exampleSecret, at.Add(6 * time.Minute), "Signature expired"},
		{"too early", func(*http.Request) {}, exampleSecret, at.Add(-6 * time.Minute), "Signature not yet current"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, s := exampleRequest(t)
			c.change(r)
			err := s.verify(r, nil, c.secret, c.now)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("verify: %v; want %q", err, c.want)
			}
		})
	}
}

func TestVerifyBody(t *testing.T) {
	r, s := exampleRequest(t)
	if err := s.verify(r, []byte("another body"), exampleSecret, time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)); err == nil {
		t.Error("a changed body has the signature of the old one")
	}
}

func FuzzParseSigned(f *testing.F) {
	f.Add(exampleHeader)
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=host,Signature=x")
	f.Fuzz(func(t *testing.T, header string) {
		s, err := parseSigned(header)
		if err == nil && (len(s.headers) == 0 || s.signature == "") {
			t.Errorf("%q has no headers or signature: %+v", header, s)
		}
	})
}

func TestIssuer(t *testing.T) {
	i, err := newIssuer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	good := claims{issuerURL, stsAudience, subject, now.Unix(), now.Add(time.Hour).Unix(), "1"}
	sign := func(c claims) string {
		token, err := i.sign(c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	foreign, audience, old := good, good, good
	foreign.Issuer, audience.Audience, old.Expires = "https://example.com", podsAudience, now.Add(-time.Minute).Unix()
	valid := sign(good)
	if _, err := i.verify(valid, stsAudience, now); err != nil {
		t.Errorf("a good token: %v", err)
	}
	changed := strings.Split(valid, ".")
	changed[1] = strings.Split(sign(audience), ".")[1]
	for name, token := range map[string]string{
		"of another issuer": sign(foreign), "for another audience": sign(audience), "expired": sign(old),
		"with other claims": strings.Join(changed, "."), "cut": valid[:20], "empty": "",
	} {
		if _, err := i.verify(token, stsAudience, now); err == nil {
			t.Errorf("a token %s is taken", name)
		}
	}
	if err := i.rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := i.verify(valid, stsAudience, now); err == nil {
		t.Error("a token of the old key is taken")
	}
}
