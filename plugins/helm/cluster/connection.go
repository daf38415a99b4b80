package cluster

import (
	"context"
	"fmt"
	"net/http"
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
)

// freshness is how long an answer about the kinds of the cluster is believed.
const freshness = time.Minute

// requestTimeout bounds a request that is no watch and belongs to no operation.
const requestTimeout = 30 * time.Second

// Connection is safe for concurrent use. One that has been replaced works on for
// the operations that began with it.
type Connection struct {
	config     *rest.Config
	prefix     string   // of paths, of an API server behind a proxy
	namespaces []string // nothing else is reached; nil: no limit
	answers    *answers
	discovery  discovery.CachedDiscoveryInterface
	mapper     *restmapper.DeferredDiscoveryRESTMapper

	mu           sync.Mutex
	capabilities *common.Capabilities
	asked        time.Time
}

func newConnection(config *rest.Config, o Options) (*Connection, error) {
	config.UserAgent = o.UserAgent
	config.QPS = -1 // the API server's own fairness decides
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("API server %s: %w", config.Host, err)
	}
	c := &Connection{config: config, prefix: strings.TrimSuffix(server.Path, "/"), namespaces: o.Namespaces, answers: newAnswers(freshness)}
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
// answered from memory, and whose others stay within the namespaces.
func (c *Connection) settings() *rest.Config {
	config := rest.CopyConfig(c.config)
	config.Wrap(func(base http.RoundTripper) http.RoundTripper {
		if len(c.namespaces) > 0 {
			base = &confined{base: base, prefix: c.prefix, namespaces: c.namespaces}
		}
		return &remembering{base: base, prefix: c.prefix, answers: c.answers}
	})
	return config
}

// For is what Helm gets for one operation in a namespace: requests end with
// ctx.
func (c *Connection) For(ctx context.Context, namespace string) *Getter {
	config := c.settings()
	config.Wrap(func(base http.RoundTripper) http.RoundTripper {
		return &bound{base: base, ctx: ctx}
	})
	return &Getter{connection: c, config: config, namespace: namespace}
}

// Rehearsal is For without a change: what is written is a dry run. What is read
// twice is asked for once.
func (c *Connection) Rehearsal(ctx context.Context, namespace string) *Getter {
	g := c.For(ctx, namespace)
	g.config.Wrap(func(base http.RoundTripper) http.RoundTripper {
		return &rehearsing{base: base, read: newAnswers(freshness)}
	})
	return g
}

// Lasting is For without an end: what must be recorded also after an operation
// was cancelled is sent with it. Each request has a time limit.
func (c *Connection) Lasting() *rest.Config {
	config := c.settings()
	config.Timeout = requestTimeout
	return config
}

// Namespaces are all that can be reached; nil: there is no limit.
func (c *Connection) Namespaces() []string { return c.namespaces }

// Mapper tells which resource a kind is.
func (c *Connection) Mapper() meta.RESTMapper { return c.mapper }

// Invalidate forgets what kinds there are, after definitions have changed.
func (c *Connection) Invalidate() {
	c.mapper.Reset()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.capabilities = nil
}

// Capabilities are what templates may ask about the cluster. The caller owns
// the result.
func (c *Connection) Capabilities() (*common.Capabilities, error) {
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

func (c *Connection) close() {
	if base, err := rest.TransportFor(c.config); err == nil {
		closeIdle(base)
	}
}

// Getter implements what Helm asks for clients with.
type Getter struct {
	connection *Connection
	config     *rest.Config
	namespace  string
}

// ToRESTConfig returns a copy that the caller may change.
func (g *Getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

// ToDiscoveryClient returns the one that all releases share.
func (g *Getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.connection.discovery, nil
}

// ToRESTMapper returns the one that all releases share.
func (g *Getter) ToRESTMapper() (meta.RESTMapper, error) { return g.connection.mapper, nil }

// ToRawKubeConfigLoader tells the namespace, and nothing else.
func (g *Getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	overrides := &clientcmd.ConfigOverrides{}
	overrides.Context.Namespace = g.namespace
	return clientcmd.NewDefaultClientConfig(*clientcmdConfig(g.namespace), overrides)
}
