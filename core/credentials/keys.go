package credentials

import (
	"errors"
	"strconv"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// query is a Request in canonical form.
type query struct {
	host, repository string
	consumer         Consumer
}

func newQuery(req Request) (query, error) {
	if req.Host == "" || req.Repository == "" {
		return query{}, errors.New("a credential is asked for a host and a repository")
	}
	return query{CanonicalHost(req.Host), req.Repository, req.Consumer}, nil
}

// request is what the provider gets to see; only providers for consumers get
// the consumer.
func (q query) request(forConsumers bool) registry.Request {
	r := registry.Request{Host: q.host, Repository: q.repository}
	if forConsumers {
		c := q.consumer
		r.Consumer = registry.Consumer{Namespace: c.Namespace, ServiceAccount: c.ServiceAccount, PullSecrets: c.PullSecrets}
	}
	return r
}

// key tells which questions an answer is for. The fields that are wider than
// its scope are empty.
type key struct {
	scope            registry.Scope
	host, repository string
	consumer         string // as consumerKey
}

func keyOf(scope registry.Scope, q query, consumer string) key {
	switch scope {
	case registry.ScopeGlobal:
		return key{scope: scope, consumer: consumer}
	case registry.ScopeRegistry:
		return key{scope: scope, host: q.host, consumer: consumer}
	}
	return key{scope: registry.ScopeRepository, host: q.host, repository: q.repository, consumer: consumer}
}

// consumerKey is different for different consumers, whatever is in their
// names: each name follows its length.
func consumerKey(c Consumer) string {
	size := len(c.Applier) + len(c.Namespace) + len(c.ServiceAccount) + 12
	for _, s := range c.PullSecrets {
		size += len(s) + 4
	}
	b := make([]byte, 0, size)
	b = appendSized(b, c.Applier)
	b = appendSized(b, c.Namespace)
	b = appendSized(b, c.ServiceAccount)
	for _, s := range c.PullSecrets {
		b = appendSized(b, s)
	}
	return string(b)
}

func appendSized(b []byte, s string) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	return append(b, s...)
}

// identity is the Credential.ID of what p gives for k: who gives it, the
// consumer if there is one, and the host or repository as far as the scope is
// limited to it.
//
//	registry_credential.ecr.prod, 123456789012.dkr.ecr.eu-west-1.amazonaws.com
//	pull secrets regcred of shop/default (applier.kubernetes.prod), quay.io
func identity(p Provider, k key, c Consumer) string {
	var b strings.Builder
	switch {
	case k.consumer == "":
		b.WriteString(p.Address)
	case p.Origin == PullSecrets && p.Applier != "" && p.Applier == c.Applier: // which has one such provider
		b.WriteString("pull secrets " + c.short("of "))
	default:
		b.WriteString(p.Address + " for " + c.short(""))
	}
	if k.host != "" {
		b.WriteString(", " + k.host)
	}
	if k.repository != "" {
		b.WriteString("/" + k.repository)
	}
	return b.String()
}

// short names everything of a consumer: "regcred,hub of shop/default
// (applier.kubernetes.prod)". One without pull secrets begins with of.
func (c Consumer) short(of string) string {
	names := make([]string, len(c.PullSecrets))
	for i, s := range c.PullSecrets {
		names[i] = plain(s)
	}
	if len(names) > 0 {
		of = strings.Join(names, ",") + " of "
	}
	who := plain(c.Namespace)
	switch {
	case c.Namespace == "" && c.ServiceAccount == "":
		who = "no workload"
	case c.ServiceAccount != "":
		who += "/" + plain(c.ServiceAccount)
	}
	if c.Applier == "" {
		return of + who
	}
	return of + who + " (" + plain(c.Applier) + ")"
}

// plain is s if it looks like a name, and s in quotes otherwise, so that no two
// identities are the same text.
func plain(s string) string {
	const names = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if s == "" || strings.Trim(s, names) != "" {
		return strconv.Quote(s)
	}
	return s
}

// value is what a registry accepts or refuses.
type value struct {
	username        string
	password, token secret.Secret
}

// grant is a credential as a provider gave it. It does not change.
type grant struct {
	issuer     *issuer
	key        key
	query      query // that it was asked for
	value      value
	credential Credential
}

// checkCredential returns what is wrong with what a provider returned, and the
// scope that it has.
func checkCredential(c registry.Credential) (registry.Scope, error) {
	if c.Password.IsZero() && c.IdentityToken.IsZero() {
		return "", errors.New("it returned a credential without a password or token; a provider that has nothing says so")
	}
	switch c.Scope {
	case registry.ScopeGlobal, registry.ScopeRegistry, registry.ScopeRepository:
		return c.Scope, nil
	case "":
		return registry.ScopeRepository, nil
	}
	return "", errors.New("it returned a credential of the unknown scope " + strconv.Quote(string(c.Scope)))
}
