package cluster

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// renewPause is the least time between two looks at the kubeconfig, or at the
// service account.
const renewPause = 10 * time.Second

// renewing sends requests with the credentials of config. When the API server
// does not accept them, or shows a certificate that the authorities of config
// did not sign, the configuration is read again, and if that has other
// credentials the request is sent once more. (Files that a kubeconfig names,
// tokens among them, are read again by client-go itself.)
type renewing struct {
	reload func() (*rest.Config, error)
	log    hclog.Logger // may be nil

	mu     sync.Mutex
	config *rest.Config
	next   http.RoundTripper
	looked time.Time
}

func newRenewing(config *rest.Config, reload func() (*rest.Config, error), log hclog.Logger) (*renewing, error) {
	next, err := rest.TransportFor(config)
	return &renewing{reload: reload, log: log, config: config, next: next}, err
}

// WrappedRoundTripper lets client-go find the connections below.
func (r *renewing) WrappedRoundTripper() http.RoundTripper {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

func (r *renewing) copyConfig() *rest.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return rest.CopyConfig(r.config)
}

func (r *renewing) RoundTrip(req *http.Request) (*http.Response, error) {
	used := r.WrappedRoundTripper()
	resp, err := used.RoundTrip(req)
	rejected := err == nil && resp.StatusCode == http.StatusUnauthorized
	if !rejected && !untrusted(err) {
		return resp, err
	}
	next := r.renew(used)
	if next == used {
		return resp, err
	}
	again, failed := rewind(req)
	if failed != nil {
		return resp, err
	}
	if resp != nil {
		_, _ = io.Copy(io.Discard, resp.Body) // only to free the connection
		_ = resp.Body.Close()
	}
	return next.RoundTrip(again)
}

// renew returns what to use instead of used; used itself if there is nothing
// better.
func (r *renewing) renew(used http.RoundTripper) http.RoundTripper {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != used || time.Since(r.looked) < renewPause {
		return r.next
	}
	r.looked = time.Now()
	if err := r.replace(); err != nil && r.log != nil {
		r.log.Warn("the API server does not accept the credentials, and they cannot be read again", "error", err)
	}
	if r.next != used {
		utilnet.CloseIdleConnectionsFor(used)
		if r.log != nil {
			r.log.Info("the credentials have changed; the new ones are used from now on", "server", r.config.Host)
		}
	}
	return r.next
}

// replace takes the credentials of the configuration as it is now.
func (r *renewing) replace() error {
	fresh, err := r.reload()
	if err != nil {
		return err
	}
	if fresh.Host != r.config.Host {
		return fmt.Errorf("its API server is another one now, %s in place of %s; restart the daemon to change over", fresh.Host, r.config.Host)
	}
	config := rest.CopyConfig(r.config)
	config.TLSClientConfig, config.ExecProvider, config.AuthProvider = fresh.TLSClientConfig, fresh.ExecProvider, fresh.AuthProvider
	config.BearerToken, config.BearerTokenFile = fresh.BearerToken, fresh.BearerTokenFile
	config.Username, config.Password = fresh.Username, fresh.Password
	if reflect.DeepEqual(credentials(config), credentials(r.config)) {
		return nil
	}
	next, err := rest.TransportFor(config)
	if err != nil {
		return err
	}
	r.config, r.next = config, next
	return nil
}

func credentials(c *rest.Config) []any {
	return []any{c.TLSClientConfig, c.ExecProvider, c.AuthProvider, c.BearerToken, c.BearerTokenFile, c.Username, c.Password}
}
