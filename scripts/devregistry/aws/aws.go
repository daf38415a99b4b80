// Package aws fakes the parts of Amazon's cloud that lead to a registry
// password: STS, ECR, ECR Public, the instance metadata service and the EKS Pod
// Identity agent. Every request is checked as the real services check it: the
// signature is computed anew, sessions expire, tokens are verified against the
// key of the issuer, and errors have the codes and words of the originals.
//
// The environment that Start returns lets an SDK's default chain find the
// instance's role. What other ways need is there too, under the names that the
// SDK knows with "DEVREGISTRY_" in front: a user's key pair (and, with
// "DEVREGISTRY_CN_", that of a user of the China partition), a shared
// credentials file with both (profiles default and china), the token file and
// role of IRSA, and URL and token file of Pod Identity.
package aws

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
)

// The accounts and roles that exist, besides those that Knobs name.
const (
	Account      = "123456789012"
	OtherAccount = "210987654321"
	nodeRole     = "arn:aws:iam::" + Account + ":role/node"
	podRole      = "arn:aws:iam::" + Account + ":role/pod"
	webRole      = "arn:aws:iam::" + Account + ":role/irsa"
	publicAlias  = "devregistry" // under which Account publishes images
)

// fake is the cloud. It is safe for concurrent use.
type fake struct {
	options cloud.Options
	iam     *iam
	issuer  *issuer
	pages   pages

	mu    sync.Mutex
	knobs Knobs
	imds  map[string]time.Time // IMDSv2 tokens and when they expire
	roles map[string]session   // what the node and the pod agent hand out
}

var _ cloud.Cloud = (*fake)(nil)

// New makes the cloud and the files that a pod would find mounted.
func New(o cloud.Options) (cloud.Cloud, error) {
	issuer, err := newIssuer(o.Dir)
	if err != nil {
		return nil, err
	}
	f := &fake{options: o, iam: newIAM(o.Gate.Note), issuer: issuer, imds: map[string]time.Time{}, roles: map[string]session{}}
	f.knobs = f.initial()
	return f, f.writeKeys()
}

// Endpoints implements cloud.Cloud.
func (f *fake) Endpoints() map[string]cloud.Endpoint {
	return map[string]cloud.Endpoint{
		"aws":          {Handler: http.HandlerFunc(f.serveAPI)},
		"imds":         {Handler: f.metadata()},
		"pod-identity": {Handler: http.HandlerFunc(f.servePodIdentity)},
	}
}

// Routes implements cloud.Cloud: ECR has nothing on the registry's host.
func (f *fake) Routes() map[string]http.Handler { return nil }

// Challenge implements cloud.Cloud. ECR wants Basic authentication.
func (f *fake) Challenge(string) string {
	return `Basic realm="https://` + f.options.Registry + `/",service="ecr.amazonaws.com"`
}

// Start implements cloud.Cloud.
func (f *fake) Start(urls map[string]string) (map[string]string, error) {
	const prefix = "DEVREGISTRY_"
	user, china := f.iam.users()
	return map[string]string{
		"AWS_ENDPOINT_URL":                  urls["aws"],
		"AWS_ENDPOINT_URL_STS":              urls["aws"], // Go's SDK does not use the general one when it asks for credentials
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": urls["imds"],

		prefix + "AWS_ACCESS_KEY_ID":        user.key,
		prefix + "AWS_SECRET_ACCESS_KEY":    user.secret,
		prefix + "CN_AWS_ACCESS_KEY_ID":     china.key,
		prefix + "CN_AWS_SECRET_ACCESS_KEY": china.secret,

		prefix + "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(f.options.Dir, keyFile),

		prefix + "AWS_WEB_IDENTITY_TOKEN_FILE": filepath.Join(f.options.Dir, webTokenFile),
		prefix + "AWS_ROLE_ARN":                webRole,

		prefix + "AWS_CONTAINER_CREDENTIALS_FULL_URI":     urls["pod-identity"] + podIdentityPath,
		prefix + "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": filepath.Join(f.options.Dir, podTokenFile),
	}, nil
}

// now is the time by AWS's clock.
func (f *fake) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Add(f.knobs.Skew.Duration)
}

func (f *fake) current() Knobs {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.knobs
}

// assumed returns a session with role for a server that hands out credentials
// by itself. As the real ones do, it renews them long before they expire.
func (f *fake) assumed(role, name string) session {
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	life := f.knobs.SessionLife.Duration
	s, known := f.roles[role]
	if !known || s.expires.Sub(now) < life/2 || !f.iam.valid(s.key) {
		s = f.iam.assume(role, name, now.Add(life))
		f.roles[role] = s
	}
	return s
}

// accountOf is the account in an ARN.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}

// partitionOf is the partition in an ARN.
func partitionOf(arn string) string {
	parts := strings.SplitN(arn, ":", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
