package aws

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	imdsTTLHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	imdsTokenHeader = "X-Aws-Ec2-Metadata-Token"
	maxIMDSTTL      = 21600
)

// metadata is the instance metadata service, version 2 only: without a token of
// its own there is nothing.
func (f *fake) metadata() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("PUT /latest/api/token", f.imdsToken)
	m.HandleFunc("GET /latest/meta-data/placement/region", f.withIMDSToken(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "eu-west-1")
	}))
	m.HandleFunc("GET /latest/dynamic/instance-identity/document", f.withIMDSToken(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"region": "eu-west-1", "accountId": Account})
	}))
	m.HandleFunc("GET /latest/meta-data/iam/security-credentials/{$}", f.withIMDSToken(f.imdsRole))
	m.HandleFunc("GET /latest/meta-data/iam/security-credentials/{role}", f.withIMDSToken(f.imdsCredentials))
	return m
}

// imdsToken hands out a token to who asks with PUT and says for how long. What
// came through a proxy is refused.
func (f *fake) imdsToken(w http.ResponseWriter, r *http.Request) {
	ttl, err := strconv.Atoi(r.Header.Get(imdsTTLHeader))
	switch {
	case f.current().IMDS.Off, r.Header.Get("X-Forwarded-For") != "":
		http.Error(w, "403 - Forbidden", http.StatusForbidden)
		return
	case err != nil || ttl < 1 || ttl > maxIMDSTTL:
		http.Error(w, "400 - Bad Request", http.StatusBadRequest)
		return
	}
	token := random(28)
	now := time.Now()
	f.mu.Lock()
	for t, until := range f.imds {
		if now.After(until) {
			delete(f.imds, t)
		}
	}
	f.imds[token] = now.Add(time.Duration(ttl) * time.Second)
	f.mu.Unlock()
	w.Header().Set(imdsTTLHeader, strconv.Itoa(ttl))
	_, _ = fmt.Fprint(w, token)
}

func (f *fake) withIMDSToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if f.current().IMDS.Off {
			http.Error(w, "403 - Forbidden", http.StatusForbidden)
			return
		}
		f.mu.Lock()
		until, ok := f.imds[r.Header.Get(imdsTokenHeader)]
		f.mu.Unlock()
		if !ok || time.Now().After(until) {
			http.Error(w, "401 - Unauthorized", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (f *fake) imdsRole(w http.ResponseWriter, r *http.Request) {
	if f.current().IMDS.NoRole {
		http.NotFound(w, r)
		return
	}
	_, _ = fmt.Fprint(w, "node")
}

func (f *fake) imdsCredentials(w http.ResponseWriter, r *http.Request) {
	if f.current().IMDS.NoRole || r.PathValue("role") != "node" {
		http.NotFound(w, r)
		return
	}
	s := f.assumed(nodeRole, "i-0123456789abcdef0")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"Code":            "Success",
		"LastUpdated":     f.now().UTC().Format(time.RFC3339),
		"Type":            "AWS-HMAC",
		"AccessKeyId":     s.key,
		"SecretAccessKey": s.secret,
		"Token":           s.token,
		"Expiration":      s.expires.UTC().Format(time.RFC3339),
	})
}
