// Package cluster is the connection to a Kubernetes cluster that all releases
// share: one configuration, one set of connections, and one copy of what the
// API server says about its kinds.
//
// What Helm does takes no context. For sends its requests through a transport
// that belongs to one operation, so that a request ends when the operation is
// cancelled.
package cluster

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Options tell which cluster, and how much of it.
type Options struct {
	Kubeconfig string // path; empty: as kubectl finds it
	Context    string // of the kubeconfig; empty: the current one
	InCluster  bool   // the service account of this pod
	// Namespaces, unless empty, are all that is read and written.
	Namespaces []string
	UserAgent  string
}

// Cluster keeps one Connection, and replaces it when a kubeconfig or a token
// changes. It is safe for concurrent use.
type Cluster struct {
	options Options

	mu      sync.Mutex
	current *Connection
	configs sum    // of the kubeconfigs that current was made of
	token   string // file that current reads its token from, if there is one
	read    sum    // of token
}

// Connect reads the configuration. It sends no request.
func Connect(o Options) (*Cluster, error) {
	c := &Cluster{options: o}
	if _, err := c.Connection(); err != nil {
		return nil, err
	}
	return c, nil
}

// Connection returns the one for an operation that begins now: the same as
// before, unless a kubeconfig or a file with a token has changed since.
// Certificates and authorities that a kubeconfig names by file, and the answers
// of credential plugins, the connection itself keeps up to date.
func (c *Cluster) Connection() (*Connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	configs := digest(c.options.kubeconfigs()...)
	if c.current != nil && configs == c.configs && (c.token == "" || digest(c.token) == c.read) {
		return c.current, nil
	}
	config, err := load(c.options)
	if err != nil {
		return nil, err
	}
	fresh, err := newConnection(config, c.options)
	if err != nil {
		return nil, err
	}
	if c.current != nil {
		c.current.close()
	}
	c.current, c.configs, c.token, c.read = fresh, configs, config.BearerTokenFile, digest(config.BearerTokenFile)
	return fresh, nil
}

// Close drops idle connections.
func (c *Cluster) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.close()
}

// rules tell where kubeconfigs are.
func (o Options) rules() *clientcmd.ClientConfigLoadingRules {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	return rules
}

// kubeconfigs are the files that there may be.
func (o Options) kubeconfigs() []string {
	if o.InCluster {
		return nil
	}
	return o.rules().GetLoadingPrecedence()
}

type sum [sha256.Size]byte

// digest tells whether files have changed, come or gone.
func digest(files ...string) sum {
	h := sha256.New()
	for _, name := range files {
		content, err := os.ReadFile(name)
		_, _ = fmt.Fprintf(h, "%q %t %d ", name, err == nil, len(content)) // a hash takes everything
		_, _ = h.Write(content)
	}
	return sum(h.Sum(nil))
}

func load(o Options) (*rest.Config, error) {
	if o.InCluster {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, diag.Errorf(diag.Attr("in_cluster"), "not running in a cluster: %v", err)
		}
		return config, nil
	}
	if o.Kubeconfig != "" {
		if _, err := os.Stat(o.Kubeconfig); errors.Is(err, fs.ErrNotExist) {
			return nil, diag.Errorf(diag.Attr("kubeconfig"), "kubeconfig %s does not exist", o.Kubeconfig)
		}
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(o.rules(), &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	raw, err := loader.RawConfig()
	switch {
	case err != nil:
		return nil, diag.Errorf(diag.Attr("kubeconfig"), "kubeconfig cannot be read: %v", err)
	case o.Context != "" && raw.Contexts[o.Context] == nil:
		return nil, noContext(o.Context, slices.Sorted(maps.Keys(raw.Contexts)))
	}
	config, err := loader.ClientConfig() // also finds the pod's service account, if there is no kubeconfig
	if err != nil {
		return nil, diag.Errorf(diag.Attr("kubeconfig"), "kubeconfig cannot be used: %v", err)
	}
	return config, nil
}

func noContext(name string, names []string) error {
	d := diag.Errorf(diag.Attr("context"), "the kubeconfig has no context %q", name)
	if near := diag.Nearest(name, names); near != "" {
		d.Detail = fmt.Sprintf("Did you mean %q?", near)
	} else {
		d.Detail = "It has: " + strings.Join(names, ", ") + "."
	}
	return d
}
