package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/pullsecret"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

var (
	serviceAccounts = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	namespaces      = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// patience is how long an answer may take: a scan waits for it, and the host
// asks again.
const patience = 15 * time.Second

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
	switch {
	case namespace == "":
		return registry.Credential{}, nothing("pull secrets are for what runs in a namespace")
	case len(k.namespaces) > 0 && !slices.Contains(k.namespaces, namespace):
		return registry.Credential{}, nothing("the namespace %s is none of those that the applier is limited to", namespace)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience,
		fmt.Errorf("pull secrets of namespace %s: the API server has not answered for %s", namespace, patience))
	defer cancel()
	var ring pullsecret.Ring
	found, broken := k.fill(ctx, &ring, req.Consumer)
	if err := context.Cause(ctx); err != nil {
		return registry.Credential{}, err
	}
	credential, ok, err := ring.Find(req.Host, req.Repository)
	if err != nil {
		broken = append(broken, fmt.Errorf("pull secrets of namespace %s: %w", namespace, err))
	}
	for _, err := range broken {
		k.log.Warn("a pull secret cannot be used", "image", req.Host+"/"+req.Repository, "error", err)
	}
	switch {
	case ok:
		return credential, nil
	case len(broken) > 0:
		return registry.Credential{}, inOneLine(broken)
	}
	return registry.Credential{}, k.nothing(ctx, found, req.Consumer)
}

// inOneLine is errors.Join without line breaks.
func inOneLine(errs []error) error {
	err := errs[0]
	for _, next := range errs[1:] {
		err = fmt.Errorf("%w; %w", err, next)
	}
	return err
}

// findings are what was found for a consumer, for people who wonder.
type findings struct {
	account bool     // its service account exists
	missing []string // secrets that do not exist
	useless []string // what each of the others is for
}

// fill reads the secrets of a consumer, and returns what is wrong with them.
func (k *keychain) fill(ctx context.Context, ring *pullsecret.Ring, c registry.Consumer) (found findings, broken []error) {
	more, account, err := k.ofAccount(ctx, c)
	if err != nil {
		broken = append(broken, err)
	}
	found.account = account
	seen := map[string]bool{"": true}
	for _, name := range slices.Concat(c.PullSecrets, more) {
		if seen[name] {
			continue
		}
		seen[name] = true
		before := len(ring.Keys())
		switch exists, err := k.add(ctx, ring, c.Namespace, name); {
		case err != nil:
			broken = append(broken, fmt.Errorf("pull secret %s/%s: %w", c.Namespace, name, err))
		case !exists:
			found.missing = append(found.missing, name)
		default:
			found.useless = append(found.useless, name+" is for "+some(ring.Keys()[before:]))
		}
	}
	return found, broken
}

// some lists the first of many keys.
func some(keys []string) string {
	const most = 5
	switch {
	case len(keys) == 0:
		return "no registry"
	case len(keys) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(keys[:most], ", "), len(keys)-most)
	}
	return strings.Join(keys, ", ")
}

// nothing is registry.ErrAnonymous with the reason.
func nothing(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, registry.ErrAnonymous)...)
}

// nothing says why there is no credential for a consumer of whom nothing is
// broken.
func (k *keychain) nothing(ctx context.Context, found findings, c registry.Consumer) error {
	account := cmp.Or(c.ServiceAccount, defaultAccount)
	if !found.account && len(found.useless) == 0 && k.lacks(ctx, c.Namespace) {
		return nothing("there is no namespace %s", c.Namespace)
	}
	var why []string
	for _, name := range found.missing {
		why = append(why, fmt.Sprintf("secret %s/%s does not exist", c.Namespace, name))
	}
	why = append(why, found.useless...)
	switch {
	case !found.account && (len(why) == 0 || c.ServiceAccount != ""):
		why = append(why, fmt.Sprintf("service account %s/%s does not exist", c.Namespace, account))
	case len(why) == 0:
		return nothing("no pull secrets are named, and the service account %s/%s has none", c.Namespace, account)
	}
	return nothing("%s", strings.Join(why, "; "))
}

// lacks reports whether the cluster says that it has no such namespace.
func (k *keychain) lacks(ctx context.Context, namespace string) bool {
	var any struct{}
	return apierrors.IsNotFound(k.client.Object(ctx, namespaces, "", namespace, &any))
}

const defaultAccount = "default"

// ofAccount returns the names of a service account's pull secrets, and whether
// there is such an account.
func (k *keychain) ofAccount(ctx context.Context, c registry.Consumer) (secrets []string, exists bool, err error) {
	var account struct {
		ImagePullSecrets []struct {
			Name string `json:"name"`
		} `json:"imagePullSecrets"`
	}
	name := cmp.Or(c.ServiceAccount, defaultAccount)
	err = k.client.Object(ctx, serviceAccounts, c.Namespace, name, &account)
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, fmt.Errorf("service account %s/%s: %w", c.Namespace, name, err)
	}
	for _, ref := range account.ImagePullSecrets {
		secrets = append(secrets, ref.Name)
	}
	return secrets, true, nil
}

func (k *keychain) add(ctx context.Context, ring *pullsecret.Ring, namespace, name string) (exists bool, err error) {
	var s struct {
		Type string            `json:"type"`
		Data map[string][]byte `json:"data"`
	}
	err = k.client.Object(ctx, secretObjects, namespace, name, &s)
	if apierrors.IsNotFound(err) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, ring.Add(s.Type, s.Data)
}
