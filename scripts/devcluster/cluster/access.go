package cluster

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// user is somebody who talks to the API server. Each component is a user of its
// own, so that the audit log tells them apart.
type user struct {
	name   string
	group  string // empty for none
	config string // the file of its kubeconfig
}

// admin is whom `devcluster kubeconfig` makes its reader.
var admin = user{"admin", "system:masters", "kubeconfig"}

// users are all users with a token. RBAC knows the controller manager and the
// scheduler by name; kwok has to change nodes and pods of every namespace.
var users = []user{
	admin,
	{"system:kube-controller-manager", "", "kube-controller-manager.kubeconfig"},
	{"system:kube-scheduler", "", "kube-scheduler.kubeconfig"},
	{"kwok", "system:masters", "kwok.kubeconfig"},
	{"devcluster", "system:masters", "devcluster.kubeconfig"},
}

// tokenFile is the API server's --token-auth-file: a CSV line for each user.
const tokenFile = "tokens.csv"

// auditPolicy logs each request once, with who, what and when but not its body.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// writeAccess writes the token file and the audit policy.
func writeAccess(dir string) error {
	var tokens strings.Builder
	for _, u := range users {
		fmt.Fprintf(&tokens, "%s,%s,%s", rand.Text(), u.name, u.name)
		if u.group != "" {
			fmt.Fprintf(&tokens, ",%q", u.group)
		}
		tokens.WriteByte('\n')
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, tokenFile), []byte(tokens.String()), 0o600),
		os.WriteFile(filepath.Join(dir, "audit-policy.yaml"), []byte(auditPolicy), 0o600),
	)
}

// writeKubeconfigs writes a kubeconfig for each user.
func writeKubeconfigs(dir, name, server string) error {
	ca, err := os.ReadFile(filepath.Join(dir, "pki", "ca.crt"))
	if err != nil {
		return err
	}
	for _, u := range users {
		token, err := tokenOf(dir, u)
		if err != nil {
			return err
		}
		content := renderKubeconfig(kubeconfig{cluster: "devcluster-" + name, server: server, ca: ca, user: u.name, token: token})
		if err := writeAtomic(filepath.Join(dir, u.config), content); err != nil {
			return err
		}
	}
	return nil
}

// tokenOf reads the token of u from the token file.
func tokenOf(dir string, u user) (string, error) {
	path := filepath.Join(dir, tokenFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Split(line, ","); len(fields) > 1 && fields[1] == u.name {
			return fields[0], nil
		}
	}
	return "", fmt.Errorf("%s: no token for %s", path, u.name)
}

// kubeconfig is what a kubeconfig file says.
type kubeconfig struct {
	cluster, server string
	ca              []byte // PEM
	user, token     string
}

// renderKubeconfig writes YAML. Names and tokens are of our making and URLs
// have a fixed form, so that quoting by %q is enough.
func renderKubeconfig(k kubeconfig) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: %[1]q
clusters:
- name: %[1]q
  cluster:
    server: %[2]q
    certificate-authority-data: %[3]s
users:
- name: %[4]q
  user:
    token: %[5]q
contexts:
- name: %[1]q
  context:
    cluster: %[1]q
    user: %[4]q
`, k.cluster, k.server, base64.StdEncoding.EncodeToString(k.ca), k.user, k.token)
}
