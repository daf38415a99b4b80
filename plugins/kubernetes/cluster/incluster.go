package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// serviceAccountDir is where a pod has its service account's token.
const serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// serviceAccount is the identity of the pod that the process runs in: the API
// server of the environment, and the token and the authority in dir. It is
// rest.ErrNotInCluster where the environment names no API server. The kubelet
// replaces the token; client-go reads it again.
func serviceAccount(dir string) (*rest.Config, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, rest.ErrNotInCluster
	}
	if dir == "" {
		dir = serviceAccountDir
	}
	tokenFile, authority := filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return nil, fmt.Errorf("service account token: %w", err)
	}
	text := strings.TrimSpace(string(token))
	if text == "" {
		return nil, fmt.Errorf("service account token: %s is empty", tokenFile)
	}
	if _, err := cert.NewPool(authority); err != nil {
		return nil, fmt.Errorf("the cluster's authority %s: %w", authority, err)
	}
	return &rest.Config{
		Host:            "https://" + net.JoinHostPort(host, port),
		TLSClientConfig: rest.TLSClientConfig{CAFile: authority},
		BearerToken:     text,
		BearerTokenFile: tokenFile,
	}, nil
}

// unusable says, at path, why there is no cluster to talk to from inside.
func unusable(path diag.Path, err error) diag.Diagnostic {
	if errors.Is(err, rest.ErrNotInCluster) {
		d := diag.Errorf(path, "not running in a cluster")
		d.Detail = "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which every pod has, are not set."
		return d
	}
	d := diag.Errorf(path, "the pod's service account cannot be used: %v", err)
	if errors.Is(err, fs.ErrNotExist) {
		d.Detail = "Does the pod, or its service account, set automountServiceAccountToken to false?"
	}
	return d
}
