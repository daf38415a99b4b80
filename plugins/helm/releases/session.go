package releases

import (
	"errors"
	"fmt"

	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"github.com/sluice-gitops/sluice/plugins/helm/cluster"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// session is what a Manager reaches the cluster with, until the configuration
// of the cluster changes.
type session struct {
	connection *cluster.Connection
	storage    Storage
	records    kubernetes.Interface // without an end: see cluster.Connection.Lasting
	metadata   metadata.Interface   // of records and other objects, likewise
	newest     shared[map[helm.ReleaseRef]head]
	objects    *listings
}

func newSession(c *cluster.Connection, s Storage) (*session, error) {
	records, err := kubernetes.NewForConfig(c.Lasting())
	if err != nil {
		return nil, fmt.Errorf("releases: %w", err)
	}
	heads, err := metadata.NewForConfig(c.Lasting())
	if err != nil {
		return nil, fmt.Errorf("releases: %w", err)
	}
	made := &session{connection: c, storage: s, records: records, metadata: heads, newest: newShared[map[helm.ReleaseRef]head]()}
	made.objects = newListings(heads, made.namespaces())
	return made, nil
}

// session returns the present one.
func (m *Manager) session() (*session, error) {
	c, err := m.cluster.Connection()
	if err != nil {
		return nil, fmt.Errorf("releases: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == nil || m.current.connection != c {
		if m.current, err = newSession(c, m.storage); err != nil {
			return nil, err
		}
	}
	return m.current, nil
}

// namespaces are what to list to see everything that may be seen.
func (s *session) namespaces() []string {
	if limit := s.connection.Namespaces(); len(limit) > 0 {
		return limit
	}
	return []string{""} // all
}

// driver is where Helm's own code records the releases of a namespace.
func (s *session) driver(namespace string) driver.Driver {
	if s.storage == ConfigMaps {
		return driver.NewConfigMaps(s.records.CoreV1().ConfigMaps(namespace))
	}
	return driver.NewSecrets(s.records.CoreV1().Secrets(namespace))
}

// read returns the release of a record, nil if it has gone.
func (s *session) read(ref helm.ReleaseRef, record string) (*release.Release, error) {
	got, err := s.driver(ref.Namespace).Get(record)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("release %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	return v1(got)
}

// dynamic sends requests that end with the operation.
func (o *operation) dynamic() (dynamic.Interface, error) {
	config, err := o.getter.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	return dynamic.NewForConfig(config)
}
