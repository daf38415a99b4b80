// Package cluster is the connection to a Kubernetes cluster that all releases
// share: one configuration, one set of connections, and one copy of what the
// API server says about its kinds.
//
// What Helm does takes no context. For sends its requests through a transport
// that belongs to one operation, so that a request ends when the operation is
// cancelled.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Options tell which cluster.
type Options struct {
	Kubeconfig string // path; empty: as kubectl finds it
	Context    string // of the kubeconfig; empty: the current one
	InCluster  bool   // the service account of this pod
	UserAgent  string
}

// freshness is how long an answer about the kinds of the cluster is believed.
const freshness = time.Minute

// requestTimeout bounds a request that is no watch and belongs to no operation.
const requestTimeout = 30 * time.Second

// Cluster is safe for concurrent use.
type Cluster struct {
	config    *rest.Config
	answers   *answers
	discovery discovery.CachedDiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper

	mu           sync.Mutex
	capabilities *common.Capabilities
	asked        time.Time
}

// Connect reads the configuration. It sends no request.
func Connect(o Options) (*Cluster, error) {
	config, err := load(o)
	if err != nil {
		return nil, err
	}
	config.UserAgent = o.UserAgent
	config.QPS = -1 // the API server's own fairness decides
	c := &Cluster{config: config, answers: newAnswers(freshness)}
	own := c.settings()
	own.Timeout = requestTimeout
	client, err := discovery.NewDiscoveryClientForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("API server %s: %w", config.Host, err)
	}
	c.discovery = &invalidating{memory.NewMemCacheClient(client), c.answers}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(c.discovery)
	return c, nil
}

// invalidating forgets the answers along with what was made of them.
type invalidating struct {
	discovery.CachedDiscoveryInterface
	answers *answers
}

// Invalidate implements discovery.CachedDiscoveryInterface.
func (i *invalidating) Invalidate() {
	i.answers.forget()
	i.CachedDiscoveryInterface.Invalidate()
}

// settings is a copy of the configuration whose questions about kinds are
// answered from memory.
func (c *Cluster) settings() *rest.Config {
	config := rest.CopyConfig(c.config)
	config.Wrap(func(base http.RoundTripper) http.RoundTripper {
		return &remembering{base: base, answers: c.answers}
	})
	return config
}

// For is what Helm gets for one operation in a namespace: requests end with
// ctx.
func (c *Cluster) For(ctx context.Context, namespace string) *Getter {
	config := c.settings()
	config.Wrap(func(base http.RoundTripper) http.RoundTripper {
		return &bound{base: base, ctx: ctx}
	})
	return &Getter{cluster: c, config: config, namespace: namespace}
}

// Lasting is For without an end: what must be recorded also after an operation
// was cancelled is sent with it. Each request has a time limit.
func (c *Cluster) Lasting() *rest.Config {
	config := c.settings()
	config.Timeout = requestTimeout
	return config
}

// Mapper tells which resource a kind is.
func (c *Cluster) Mapper() meta.RESTMapper { return c.mapper }

// Invalidate forgets what kinds there are, after definitions have changed.
func (c *Cluster) Invalidate() {
	c.mapper.Reset()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.capabilities = nil
}

// Capabilities are what templates may ask about the cluster. The caller owns
// the result.
func (c *Cluster) Capabilities() (*common.Capabilities, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.capabilities != nil && time.Since(c.asked) < freshness {
		return c.capabilities.Copy(), nil
	}
	c.discovery.Invalidate()
	version, err := c.discovery.ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("API server %s: %w", c.config.Host, err)
	}
	versions, err := action.GetVersionSet(c.discovery)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) { // a broken APIService is not our problem
		return nil, fmt.Errorf("API server %s: %w", c.config.Host, err)
	}
	c.capabilities = &common.Capabilities{
		APIVersions: versions,
		KubeVersion: common.KubeVersion{Version: version.GitVersion, Major: version.Major, Minor: version.Minor},
		HelmVersion: common.DefaultCapabilities.HelmVersion,
	}
	c.asked = time.Now()
	return c.capabilities.Copy(), nil
}

// Close drops idle connections.
func (c *Cluster) Close() {
	if base, err := rest.TransportFor(c.config); err == nil {
		closeIdle(base)
	}
}

// Getter implements what Helm asks for clients with.
type Getter struct {
	cluster   *Cluster
	config    *rest.Config
	namespace string
}

// ToRESTConfig returns a copy that the caller may change.
func (g *Getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

// ToDiscoveryClient returns the one that all releases share.
func (g *Getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.cluster.discovery, nil
}

// ToRESTMapper returns the one that all releases share.
func (g *Getter) ToRESTMapper() (meta.RESTMapper, error) { return g.cluster.mapper, nil }

// ToRawKubeConfigLoader tells the namespace, and nothing else.
func (g *Getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	overrides := &clientcmd.ConfigOverrides{}
	overrides.Context.Namespace = g.namespace
	return clientcmd.NewDefaultClientConfig(*clientcmdConfig(g.namespace), overrides)
}

func load(o Options) (*rest.Config, error) {
	if o.InCluster {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, diag.Errorf(diag.Attr("in_cluster"), "not running in a cluster: %v", err)
		}
		return config, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if o.Kubeconfig != "" {
		if _, err := os.Stat(o.Kubeconfig); errors.Is(err, fs.ErrNotExist) {
			return nil, diag.Errorf(diag.Attr("kubeconfig"), "kubeconfig %s does not exist", o.Kubeconfig)
		}
		rules.ExplicitPath = o.Kubeconfig
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	raw, err := loader.RawConfig()
	switch {
	case err != nil:
		return nil, diag.Errorf(diag.Attr("kubeconfig"), "kubeconfig cannot be read: %v", err)
	case o.Context != "" && raw.Contexts[o.Context] == nil:
		names := make([]string, 0, len(raw.Contexts))
		for name := range raw.Contexts {
			names = append(names, name)
		}
		d := diag.Errorf(diag.Attr("context"), "the kubeconfig has no context %q", o.Context)
		if near := diag.Nearest(o.Context, names); near != "" {
			d.Detail = fmt.Sprintf("Did you mean %q?", near)
		} else {
			d.Detail = "It has: " + strings.Join(names, ", ") + "."
		}
		return nil, d
	}
	config, err := loader.ClientConfig() // also finds the pod's service account, if there is no kubeconfig
	if err != nil {
		return nil, diag.Errorf(diag.Attr("kubeconfig"), "kubeconfig cannot be used: %v", err)
	}
	return config, nil
}
