package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func tlsConfig(t *testing.T, ca string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", ca)
	}
	return &tls.Config{RootCAs: pool}
}

// fill puts images into a repository: v0 first, each a day after the one
// before.
func fill(t *testing.T, r ready, repository string, tags int) {
	t.Helper()
	type manifest struct {
		MediaType string    `json:"media_type"`
		Body      []byte    `json:"body"`
		Tags      []string  `json:"tags"`
		Pushed    time.Time `json:"pushed"`
	}
	var manifests []manifest
	for i := range tags {
		manifests = append(manifests, manifest{
			Body:   fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"n":"%d"}}`, i),
			Tags:   []string{fmt.Sprintf("v%d", i)},
			Pushed: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC),
		})
	}
	body, err := json.Marshal(map[string]any{"repository": repository, "manifests": manifests})
	if err != nil {
		t.Fatal(err)
	}
	drive(t, r, http.MethodPost, "/content", string(body))
}

func TestRecord(t *testing.T) {
	r := start(t, "-auth", "basic", "-user", "ann:s3cret", "-user", "bob:s3cret")
	fill(t, r, "team/app", 1)
	url := "http://ann:s3cret@" + r.Registry
	for _, path := range []string{"/v2/", "/v2/team/app/tags/list?n=5", "/v2/team/app/manifests/v0", "/v2/_catalog", "/favicon.ico"} {
		request(t, r, http.MethodGet, url+path, "")
	}
	request(t, r, http.MethodHead, url+"/v2/team/app/manifests/v0", "")
	request(t, r, http.MethodPost, url+"/v2/team/app/blobs/uploads/", "")
	request(t, r, http.MethodGet, "http://"+r.Registry+"/v2/team/app/blobs/sha256:"+strings.Repeat("0", 64), "")
	got := requests(t, r)
	for i := range got {
		got[i].Bytes = 0
	}
	want := []entry{
		{Method: "GET", Path: "/v2/", Class: "ping", Status: 200, Auth: "basic", User: "ann"},
		{Method: "GET", Path: "/v2/team/app/tags/list", Query: "n=5", Class: "tags", Status: 200, Auth: "basic", User: "ann"},
		{Method: "GET", Path: "/v2/team/app/manifests/v0", Class: "manifest-get", Status: 200, Auth: "basic", User: "ann"},
		{Method: "GET", Path: "/v2/_catalog", Class: "other", Status: 200, Auth: "basic", User: "ann"},
		{Method: "GET", Path: "/favicon.ico", Class: "other", Status: 404, Auth: "basic", User: "ann"},
		{Method: "HEAD", Path: "/v2/team/app/manifests/v0", Class: "manifest-head", Status: 200, Auth: "basic", User: "ann"},
		{Method: "POST", Path: "/v2/team/app/blobs/uploads/", Class: "push", Status: 202, Auth: "basic", User: "ann"},
		{Method: "GET", Path: "/v2/team/app/blobs/sha256:" + strings.Repeat("0", 64), Class: "blob", Status: 401, Auth: "none"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	drive(t, r, http.MethodDelete, "/requests", "")
	if left := requests(t, r); len(left) > 0 {
		t.Errorf("after DELETE: %v", left)
	}
}

func TestUsers(t *testing.T) {
	r := start(t, "-auth", "basic")
	fill(t, r, "team/app", 1)
	fill(t, r, "public/app", 1)
	drive(t, r, http.MethodPut, "/users", `[{"name":"ann","password":"a","repositories":["team/*"]},{"name":"","repositories":["public/*"]}]`)
	for path, want := range map[string]int{
		"ann:a@/v2/":                         200,
		"ann:a@/v2/team/app/tags/list":       200,
		"ann:a@/v2/public/app/tags/list":     401, // Basic credentials that are sent count
		"ann:wrong@/v2/team/app/tags/list":   401,
		"bob:a@/v2/team/app/tags/list":       401,
		"/v2/team/app/tags/list":             401,
		"/v2/public/app/tags/list":           200,
		"ann:a@/v2/other/team/app/tags/list": 401,
	} {
		user, path, ok := strings.Cut(path, "@")
		url := "http://" + user + "@" + r.Registry + path
		if !ok {
			url = "http://" + r.Registry + user
		}
		if got, _, _ := request(t, r, http.MethodGet, url, ""); got != want {
			t.Errorf("%s: %d, want %d", url, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	r := start(t)
	fill(t, r, "app", 100)
	url := "http://" + r.Registry + "/v2/app/tags/list"
	_, whole, _ := request(t, r, http.MethodGet, url, "")

	drive(t, r, http.MethodPut, "/faults", `[{"class":"tags","cut":true,"count":1},{"class":"tags","status":429,"header":{"Retry-After":"3"},"body":"slow"}]`)
	resp, err := client(t, r).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	part, err := io.ReadAll(resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(part) != len(whole)/2 || resp.StatusCode != 200 {
		t.Errorf("a cut answer: %s, %d bytes of %d, %v", resp.Status, len(part), len(whole), err)
	}
	for range 2 { // without a count it stays
		status, body, header := request(t, r, http.MethodGet, url, "")
		if status != 429 || body != "slow" || header.Get("Retry-After") != "3" {
			t.Errorf("%d %q %v", status, body, header)
		}
	}
	var statuses []int
	for _, e := range requests(t, r) {
		statuses = append(statuses, e.Status)
	}
	if diff := cmp.Diff([]int{200, 200, 429, 429}, statuses); diff != "" {
		t.Error(diff)
	}

	drive(t, r, http.MethodPut, "/faults", `[{"class":"tags","delay":"50ms","header":{"X-Slow":"yes"}}]`)
	before := time.Now()
	if _, body, header := request(t, r, http.MethodGet, url, ""); body != whole || header.Get("X-Slow") != "yes" || time.Since(before) < 50*time.Millisecond {
		t.Errorf("after %s: %s", time.Since(before), body)
	}
	for _, bad := range []string{`[{"path":"("}]`, `[{"status":99}]`, `[{"klass":"tags"}]`, `[{"delay":"soon"}]`, `{`} {
		if status, _, _ := request(t, r, http.MethodPut, r.Control+"/faults", bad); status != 400 {
			t.Errorf("%s: %d, want 400", bad, status)
		}
	}
}

func TestLimit(t *testing.T) {
	r := start(t)
	url := "http://" + r.Registry + "/v2/"
	for form, check := range map[string]func(body string, h http.Header) bool{
		"seconds": func(_ string, h http.Header) bool { return h.Get("Retry-After") == "20" },
		"date": func(_ string, h http.Header) bool {
			at, err := http.ParseTime(h.Get("Retry-After"))
			return err == nil && time.Until(at) > 15*time.Second && time.Until(at) < 25*time.Second
		},
		"body": func(body string, h http.Header) bool {
			return strings.Contains(body, `"message":"retry-after: 19.9`) && strings.Contains(body, "allowed: 3/minute") && h.Get("Retry-After") == ""
		},
		"none": func(body string, h http.Header) bool {
			return h.Get("Retry-After") == "" && !strings.Contains(body, "retry-after")
		},
	} {
		drive(t, r, http.MethodPut, "/limit", `{"rps":0.05,"burst":2,"retry_after":"`+form+`"}`)
		for i, want := range []int{200, 200, 429} {
			status, body, header := request(t, r, http.MethodGet, url, "")
			if status != want || (status == 429 && !check(body, header)) {
				t.Errorf("%s: request %d: %d\n%s %v", form, i, status, body, header)
			}
		}
	}
}

func TestPullLimit(t *testing.T) {
	r := start(t)
	fill(t, r, "app", 1)
	drive(t, r, http.MethodPut, "/limit", `{"pulls":1,"window":"6h"}`)
	url := "http://" + r.Registry + "/v2/app/manifests/v0"
	for _, want := range []struct {
		method, remaining string
		status            int
	}{{"HEAD", "1;w=21600", 200}, {"GET", "0;w=21600", 200}, {"HEAD", "0;w=21600", 200}, {"GET", "0;w=21600", 429}} {
		status, _, header := request(t, r, want.method, url, "")
		if status != want.status || header.Get("ratelimit-remaining") != want.remaining || header.Get("ratelimit-limit") != "1;w=21600" {
			t.Errorf("%s: %d %v", want.method, status, header)
		}
	}
}

func TestManyTags(t *testing.T) {
	r := start(t)
	fill(t, r, "app", 1)
	var tags []string
	for i := range 10_000 {
		tags = append(tags, fmt.Sprintf("b%05d", i))
	}
	body, err := json.Marshal(map[string]any{"repository": "app", "from": "v0", "tags": tags})
	if err != nil {
		t.Fatal(err)
	}
	drive(t, r, http.MethodPost, "/tags", string(body))
	_, all, _ := request(t, r, http.MethodGet, "http://"+r.Registry+"/v2/app/tags/list", "")
	var list struct{ Tags []string }
	if err := json.Unmarshal([]byte(all), &list); err != nil || len(list.Tags) != 10_001 {
		t.Errorf("%d tags, %v", len(list.Tags), err)
	}
	for _, bad := range []string{`{"repository":"app","from":"none","tags":["x"]}`, `{"repository":"app","from":"v0","tags":["a/b"]}`, `{"repository":"none","from":"v0","tags":["x"]}`} {
		if status, _, _ := request(t, r, http.MethodPost, r.Control+"/tags", bad); status != 400 {
			t.Errorf("%s: %d, want 400", bad, status)
		}
	}
	if status, _, _ := request(t, r, http.MethodGet, r.Control+"/tags/none", ""); status != 404 {
		t.Errorf("tags of what is not there: %d, want 404", status)
	}
}
