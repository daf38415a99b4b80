package main

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The life of a token is the difference of its own times: this machine's clock
// may be wrong.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where it is midnight of 2000-01-01
		now := "946684800"
		for payload, want := range map[string]time.Duration{
			`{"iat":1700000000,"exp":1700010800}`: 3 * time.Hour,
			`{"iat":1700000000,"exp":9700000000}`: maxLife,
			`{"iat":1700000000,"exp":1600000000}`: assumedLife,
			`{"iat":` + now + `,"exp":946684860}`: time.Minute,
			`{"exp":946684860}`:                   time.Minute,
			`{"exp":1}`:                           assumedLife,
			`{"iat":1700000000}`:                  assumedLife,
			`{"exp":1e300}`:                       maxLife,
			`{"exp":"soon"}`:                      assumedLife,
			`[]`:                                  assumedLife,
		} {
			token := "h." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".s"
			if got := claimsOf(token).life(); got != want {
				t.Errorf("%s: %s, want %s", payload, got, want)
			}
		}
		for _, token := range []string{"", "opaque", "a.b", "a.!!.c", "a.b.c.d"} {
			if got := claimsOf(token).life(); got != assumedLife {
				t.Errorf("%q: %s", token, got)
			}
		}
	})
}

func FuzzClaims(f *testing.F) {
	f.Add("h.eyJpYXQiOjEsImV4cCI6Mn0.s")
	f.Fuzz(func(t *testing.T, token string) {
		if life := claimsOf(token).life(); life <= 0 || life > maxLife {
			t.Errorf("%q lives for %s", token, life)
		}
	})
}

func TestDescribe(t *testing.T) {
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzbHVpY2UifQ.c2lnbmF0dXJl"
	for body, want := range map[string]string{
		`{"error":"invalid_client","error_description":"AADSTS7000215: No. Trace ID: 1-2 Correlation ID: 3"}`: "invalid_client: AADSTS7000215: No.",
		`{"error":"invalid_request"}`:                                      "invalid_request",
		`{"errors":[{"code":"UNAUTHORIZED","message":"no"},{"code":"X"}]}`: "UNAUTHORIZED: no",
		`{"errors":[{"code":"DENIED"}]}`:                                   "DENIED",
		`<html>`:                                                           "",
		"two\r\nlines\x00":                                                 "two lines",
		"token " + jwt + " refused":                                        "token (redacted) refused",
		"client 22222222-2222-4222-8222-222222222222":                      "client 22222222-2222-4222-8222-222222222222",
		strings.Repeat("x", 64):                                            "(redacted)",
		strings.Repeat("word ", 100):                                       strings.Repeat("word ", 60) + "...",
		"":                                                                 "",
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
