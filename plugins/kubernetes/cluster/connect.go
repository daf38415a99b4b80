// Package cluster is how the plugin talks to a Kubernetes API server: where it
// is found, which kinds it serves, and how hard it may be worked.
//
// A Client is safe for concurrent use. Every request passes one transport that
// retries what is safe to retry (Kubernetes' overload answers and lost
// connections), honours Retry-After, and keeps the number of requests in
// flight to what the server answers well. Errors from the server go through
// Explain before a person sees them.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Options say which cluster to talk to. The zero value means what kubectl
// would use, and inside a pod the cluster that it runs in.
type Options struct {
	Kubeconfig string // path of a kubeconfig; empty: $KUBECONFIG, ~/.kube/config
	Context    string // context in it; empty: the current one
	InCluster  bool   // only the cluster that this process runs in
	// ServiceAccount is the directory of the pod's token and ca.crt; empty:
	// where the kubelet puts it.
	ServiceAccount string
	UserAgent      string
	Log            hclog.Logger // gets the server's warnings; nil: dropped
}

// Client is a connection to one API server as one identity.
type Client struct {
	Metadata  metadata.Interface
	Dynamic   dynamic.Interface
	Namespace string // of the kubeconfig context; empty in a cluster
	Host      string // of the API server, to tell clusters apart
	Kinds     *Kinds

	http      *http.Client
	base      *url.URL
	transport *renewing
	pulse     *pulse
	life      context.Context // of probes
	end       context.CancelFunc
	probes    sync.WaitGroup

	mu     sync.Mutex
	closed bool // no probe begins any more
	as     map[string]*Client
}

// Connect builds a Client. It sends no request. A mistake of the user's is a
// diag.Diagnostic with the attribute's path.
func Connect(o Options) (*Client, error) {
	config, namespace, err := load(o)
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.UserAgent = o.UserAgent
	config.QPS = -1 // the transport limits by what the server can take
	config.WarningHandler = &warnings{log: o.Log, said: map[string]bool{}}
	flow, pulse := newFlow(), &pulse{log: o.Log}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return newTransport(next, flow, pulse) })
	reload := func() (*rest.Config, error) {
		fresh, _, err := load(o)
		return fresh, err
	}
	c, err := newClient(config, reload, o.Log, pulse)
	if err != nil {
		return nil, err
	}
	c.Namespace = namespace
	return c, nil
}

func newClient(config *rest.Config, reload func() (*rest.Config, error), log hclog.Logger, p *pulse) (*Client, error) {
	transport, err := newRenewing(config, reload, log)
	if err != nil {
		return nil, fmt.Errorf("API server %s: %w", config.Host, err)
	}
	hc := &http.Client{Transport: transport, Timeout: config.Timeout}
	c := &Client{Host: config.Host, transport: transport, pulse: p, as: map[string]*Client{}}
	if c.Metadata, err = metadata.NewForConfigAndClient(config, hc); err != nil {
		return nil, fmt.Errorf("API server %s: %w", config.Host, err)
	}
	if c.Dynamic, err = dynamic.NewForConfigAndClient(config, hc); err != nil {
		return nil, fmt.Errorf("API server %s: %w", config.Host, err)
	}
	disco, err := newDiscovery(config, hc)
	if err != nil {
		return nil, fmt.Errorf("API server %s: %w", config.Host, err)
	}
	c.http, c.base, c.Kinds = hc, disco.base, NewKinds(disco.fetch)
	c.life, c.end = context.WithCancel(context.Background())
	return c, nil
}

// As returns a Client that acts as user, which the API server must allow. The
// empty user is c itself.
func (c *Client) As(user string) (*Client, error) {
	if user == "" {
		return c, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.as[user]; other != nil {
		return other, nil
	}
	config := c.transport.copyConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	other, err := newClient(config, c.transport.reload, c.transport.log, c.pulse)
	if err != nil {
		return nil, err
	}
	other.Namespace, other.Kinds = c.Namespace, c.Kinds
	c.as[user] = other
	return other, nil
}

// Close drops idle connections, the ones of the clients that As made too.
func (c *Client) Close() {
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.probes.Wait()
	for _, other := range c.as {
		other.Close()
	}
	utilnet.CloseIdleConnectionsFor(c.transport)
}

func load(o Options) (*rest.Config, string, error) {
	if o.InCluster {
		config, err := serviceAccount(o.ServiceAccount)
		if err != nil {
			return nil, "", unusable(diag.Attr("in_cluster"), err)
		}
		return config, "", nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if o.Kubeconfig != "" {
		if _, err := os.Stat(o.Kubeconfig); errors.Is(err, fs.ErrNotExist) {
			return nil, "", diag.Errorf(diag.Attr("kubeconfig"), "kubeconfig %s does not exist", o.Kubeconfig)
		}
		rules.ExplicitPath = o.Kubeconfig
	}
	return fromKubeconfig(o, rules)
}

func fromKubeconfig(o Options, rules *clientcmd.ClientConfigLoadingRules) (*rest.Config, string, error) {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, "", diag.Errorf(diag.Attr("kubeconfig"), "kubeconfig cannot be read: %v", err)
	}
	if o.Context != "" && raw.Contexts[o.Context] == nil {
		return nil, "", unknownContext(o.Context, raw.Contexts)
	}
	if o.Context == "" && raw.Contexts[raw.CurrentContext] == nil {
		if o.Kubeconfig == "" && len(raw.Contexts) == 0 {
			return outsideKubeconfig(o, rules)
		}
		return nil, "", noCurrentContext(raw.CurrentContext, names(raw.Contexts))
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", diag.Errorf(diag.Attr("kubeconfig"), "kubeconfig cannot be used: %v", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", diag.Errorf(diag.Attr("kubeconfig"), "namespace of the context: %v", err)
	}
	return config, namespace, nil
}

// outsideKubeconfig is the last resort when there is no kubeconfig at all.
func outsideKubeconfig(o Options, rules *clientcmd.ClientConfigLoadingRules) (*rest.Config, string, error) {
	config, err := serviceAccount(o.ServiceAccount)
	switch {
	case err == nil:
		return config, "", nil
	case !errors.Is(err, rest.ErrNotInCluster):
		return nil, "", unusable(nil, err)
	}
	d := diag.Errorf(nil, "no cluster: there is no kubeconfig, and this is not a pod")
	d.Detail = "Looked for a kubeconfig in " + strings.Join(rules.GetLoadingPrecedence(), ", ") +
		". Set kubeconfig in the applier block, or the KUBECONFIG variable in the daemon's environment."
	return nil, "", d
}

func noCurrentContext(current string, all []string) error {
	d := diag.Errorf(diag.Attr("context"), "the kubeconfig has no current context")
	if current != "" {
		d = diag.Errorf(diag.Attr("context"), "the kubeconfig has no context %q, which it calls the current one", current)
	}
	d.Detail = "Set context to one of: " + strings.Join(all, ", ") + "."
	if len(all) == 0 {
		d.Detail = "It has no contexts at all. Give the path of another one as kubeconfig."
	}
	return d
}

func unknownContext[V any](name string, contexts map[string]V) error {
	d := diag.Errorf(diag.Attr("context"), "the kubeconfig has no context %q", name)
	all := names(contexts)
	if near := diag.Nearest(name, all); near != "" {
		d.Detail = fmt.Sprintf("Did you mean %q?", near)
	} else {
		d.Detail = "It has: " + strings.Join(all, ", ") + "."
	}
	return d
}

func names[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// mostWarnings bounds the texts that are remembered as said.
const mostWarnings = 500

// warnings sends what the API server warns about to the log, each text once:
// deprecated versions, what Pod security would object to, and the like.
type warnings struct {
	log  hclog.Logger // may be nil
	mu   sync.Mutex
	said map[string]bool
}

func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if w.log == nil || code != 299 || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.said[text] && len(w.said) < mostWarnings {
		w.said[text] = true
		w.log.Warn("the API server warns: " + text)
	}
}
