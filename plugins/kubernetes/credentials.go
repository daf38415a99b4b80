package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-hclog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/pullsecret"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

var serviceAccounts = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}

// keychain answers with what the pods of a workload pull their images with:
// the pull secrets that the request names, in its order, then those of the
// service account. It keeps nothing: each answer is read from the cluster,
// each secret by its name.
type keychain struct {
	client     *cluster.Client
	namespaces []string // the only ones that may be read; empty: all
	log        hclog.Logger
}

func newKeychain(c Config, o cluster.Options) (*keychain, error) {
	client, err := cluster.Connect(o)
	if err != nil {
		return nil, err
	}
	log := o.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &keychain{client: client, namespaces: c.Namespaces, log: log}, nil
}

// Close drops idle connections.
func (k *keychain) Close() error {
	k.client.Close()
	return nil
}

// ForConsumers implements registry.ConsumerProvider.
func (k *keychain) ForConsumers() {}

// Credential implements registry.Provider. A secret that does not exist is
// passed over, as the kubelet does. One that cannot be read or used is named in
// the log; if nothing else answers, that is the error, since what was meant to
// be an identity must not turn into none.
func (k *keychain) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	namespace := req.Consumer.Namespace
	if namespace == "" || len(k.namespaces) > 0 && !slices.Contains(k.namespaces, namespace) {
		return registry.Credential{}, registry.ErrAnonymous
	}
	var ring pullsecret.Ring
	broken := k.fill(ctx, &ring, req.Consumer)
	if err := context.Cause(ctx); err != nil {
		return registry.Credential{}, err
	}
	credential, found, err := ring.Find(req.Host, req.Repository)
	if err != nil {
		broken = append(broken, fmt.Errorf("pull secrets of namespace %s: %w", namespace, err))
	}
	for _, err := range broken {
		k.log.Warn("a pull secret cannot be used", "image", req.Host+"/"+req.Repository, "error", err)
	}
	switch {
	case found:
		return credential, nil
	case len(broken) > 0:
		return registry.Credential{}, errors.Join(broken...)
	}
	return registry.Credential{}, registry.ErrAnonymous
}

// fill reads the secrets of a consumer, and returns what is wrong with them.
func (k *keychain) fill(ctx context.Context, ring *pullsecret.Ring, c registry.Consumer) (broken []error) {
	secrets := c.PullSecrets
	more, err := k.ofAccount(ctx, c)
	if err != nil {
		broken = append(broken, err)
	}
	seen := map[string]bool{"": true}
	for _, name := range slices.Concat(secrets, more) {
		if seen[name] {
			continue
		}
		seen[name] = true
		if err := k.add(ctx, ring, c.Namespace, name); err != nil {
			broken = append(broken, fmt.Errorf("pull secret %s/%s: %w", c.Namespace, name, err))
		}
	}
	return broken
}

// ofAccount returns the names of a service account's pull secrets.
func (k *keychain) ofAccount(ctx context.Context, c registry.Consumer) ([]string, error) {
	var account struct {
		ImagePullSecrets []struct {
			Name string `json:"name"`
		} `json:"imagePullSecrets"`
	}
	name := cmp.Or(c.ServiceAccount, "default")
	err := k.client.Object(ctx, serviceAccounts, c.Namespace, name, &account)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("service account %s/%s: %w", c.Namespace, name, err)
	}
	var names []string
	for _, ref := range account.ImagePullSecrets {
		names = append(names, ref.Name)
	}
	return names, nil
}

func (k *keychain) add(ctx context.Context, ring *pullsecret.Ring, namespace, name string) error {
	var s struct {
		Type string            `json:"type"`
		Data map[string][]byte `json:"data"`
	}
	err := k.client.Object(ctx, secretObjects, namespace, name, &s)
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	return ring.Add(s.Type, s.Data)
}
