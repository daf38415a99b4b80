package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

const kindCredential = "registry_credential"

// builtIn are the credential plugins that are asked without any block, for the
// registries of their clouds, where they are installed.
var builtIn = []string{"ecr", "gcr", "acr"}

// openBroker opens the broker, which has no providers before a configuration
// is adopted.
func (e *Engine) openBroker() {
	e.broker = credentials.New(credentials.Options{Logger: e.log, Notify: e.tellCredential})
	e.onClose(e.broker.Close)
}

// tellCredential makes an event of what people should know of a provider.
func (e *Engine) tellCredential(n credentials.Notice) {
	ev := event.Event{Node: n.Provider, Reason: string(n.Reason), Message: n.Message, Severity: event.Info}
	if n.Warning {
		ev.Severity = event.Warning
	}
	e.publishEvent(ev)
}

// providers is the chain that a configuration means: the pull secrets of each
// cluster, the blocks in their order, and what is built in.
func (e *Engine) providers(c *candidate) []credentials.Provider {
	var chain []credentials.Provider
	for _, a := range c.cfg.Appliers {
		if _, _, err := c.host.Schema(kindCredential, a.Type); err != nil {
			continue // this kind of target has no pull secrets
		}
		cfg := a.Plugin
		cfg.Kind = kindCredential
		p := e.provider(c.host, "pull secrets of "+a.Address, cfg)
		p.Origin, p.Applier = credentials.PullSecrets, a.Address
		chain = append(chain, p)
	}
	for _, block := range c.cfg.Credentials {
		p := e.provider(c.host, block.Address, block.Plugin)
		p.Origin, p.Match = credentials.Declared, credentials.DefaultMatch(block.Type)
		if block.Match != nil {
			p.Match = texts(block.Match)
		}
		chain = append(chain, p)
	}
	for _, typ := range builtIn {
		if _, _, err := c.host.Schema(kindCredential, typ); err != nil {
			continue // not installed
		}
		p := e.provider(c.host, "built-in "+typ, config.PluginConfig{Kind: kindCredential, Type: typ, JSON: []byte("{}")})
		p.Origin, p.Match = credentials.BuiltIn, credentials.DefaultMatch(typ)
		chain = append(chain, p)
	}
	return chain
}

// provider opens its instance in the plugin host of its configuration.
func (e *Engine) provider(host pluginHost, address string, cfg config.PluginConfig) credentials.Provider {
	return credentials.Provider{
		Address: address,
		Key:     fmt.Sprintf("%p %s", host, pluginKey(cfg)),
		Open: func(ctx context.Context) (credentials.Handle, error) {
			in, found, err := host.Open(ctx, cfg.Kind, cfg.Type, address, cfg.JSON)
			for _, d := range onlyWarnings(locate(cfg, found)) {
				e.log.WarnContext(ctx, d.Error(), "credential", address)
			}
			if err != nil {
				return nil, located(cfg, unnamed(err))
			}
			return providerHandle{in.Registry(), in}, nil
		},
	}
}

// providerHandle is an instance that the broker asks. The broker says in errors
// whose they are, so they need not say it themselves.
type providerHandle struct {
	registryInstance
	instance
}

// Credential implements registry.Provider.
func (h providerHandle) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	c, err := h.registryInstance.Credential(ctx, req)
	return c, unnamed(err)
}

// Tags implements registry.Lister.
func (h providerHandle) Tags(ctx context.Context, req registry.Request, emit func(registry.Tag)) error {
	return unnamed(h.registryInstance.Tags(ctx, req, emit))
}

// unnamed is err without the name of the instance that it is of.
func unnamed(err error) error {
	if named, ok := errors.AsType[*pluginhost.InstanceError](err); ok {
		return named.Err
	}
	return err
}

// registryInstance is what an instance of a credential plugin can do.
type registryInstance interface {
	registry.Provider
	registry.Lister
}

func texts(patterns []config.Pattern) []string {
	list := make([]string, len(patterns))
	for i, p := range patterns {
		list[i] = p.Text
	}
	return list
}

// checkCredentials reports credential blocks that cannot be right: patterns that
// are none, or of what the type never answers for, and pull secrets, which are
// the appliers' to give: a block does not say of which cluster they are.
func checkCredentials(cfg *config.Config) diag.List {
	var l diag.List
	for _, c := range cfg.Credentials {
		if slices.ContainsFunc(cfg.Appliers, func(a config.Applier) bool { return a.Type == c.Type }) {
			l = append(l, diag.Diagnostic{
				Summary: "Block without effect", Subject: &c.Range,
				Detail: fmt.Sprintf("The pull secrets of each applier %q are asked for without any block. Remove this one.", c.Type),
			})
		}
		for _, p := range c.Match {
			l = append(l, checkMatch(c, p)...)
		}
	}
	return l
}

// checkMatch reports what is wrong with one pattern of c.
func checkMatch(c config.Credential, p config.Pattern) diag.List {
	if err := credentials.CheckMatch(p.Text); err != nil {
		return diag.List{{Summary: "Wrong pattern of registries", Detail: fmt.Sprintf("%s: %v.", c.Address, err), Subject: &p.Range}}
	}
	var more struct {
		Hosts []string `json:"hosts"` // that the type answers for because the block says so
	}
	_ = json.Unmarshal(c.Plugin.JSON, &more) // whatever is there, the plugin judges it
	if credentials.MayAnswer(c.Type, p.Text, more.Hosts) {
		return nil
	}
	return diag.List{{
		Severity: diag.Warning, Summary: "Pattern without effect", Subject: &p.Range,
		Detail: fmt.Sprintf("A registry_credential %q has nothing for %q: it answers for registries such as %s. For others there is docker_config or exec.",
			c.Type, p.Text, credentials.DefaultMatch(c.Type)[0]),
	}}
}

// Credentials tells what is known of each provider of credentials, in the
// order in which they are asked.
func (e *Engine) Credentials() []credentials.ProviderStatus { return e.broker.List() }

// CredentialRequest names an image and for whom it would be pulled: a workload,
// or what a workload would have.
type CredentialRequest struct {
	Image          string   `json:"image"`
	Workload       string   `json:"workload,omitempty"` // shop:deployment/web
	Applier        string   `json:"applier,omitempty"`  // address; empty: the only one
	Namespace      string   `json:"namespace,omitempty"`
	ServiceAccount string   `json:"service_account,omitempty"`
	PullSecrets    []string `json:"pull_secrets,omitempty"`
}

// ExplainCredential asks every provider that the image may get its credential
// from, and tells what each said.
func (e *Engine) ExplainCredential(ctx context.Context, req CredentialRequest) (credentials.Explanation, error) {
	image, err := ref.Parse(req.Image)
	if err != nil {
		return credentials.Explanation{}, refusal.Invalid("%v", err)
	}
	consumer, err := e.consumer(ctx, req)
	if err != nil {
		return credentials.Explanation{}, err
	}
	return e.broker.Explain(ctx, credentials.Request{Host: image.Host(), Repository: image.Path(), Consumer: consumer}), nil
}

// consumer is who req is about; the daemon itself if it names nobody.
func (e *Engine) consumer(ctx context.Context, req CredentialRequest) (credentials.Consumer, error) {
	loose := req.ServiceAccount != "" || len(req.PullSecrets) > 0
	switch {
	case loose && req.Workload != "":
		return credentials.Consumer{}, refusal.Invalid("the workload %s has a service account and pull secrets of its own: name either it, or them and their namespace", req.Workload)
	case loose && req.Namespace == "":
		return credentials.Consumer{}, refusal.Invalid("a service account or pull secret is in a namespace: name that, too")
	case req.Workload != "":
		found, err := e.findWorkloads(ctx, []string{req.Workload}, req.Namespace, req.Applier)
		if err != nil {
			return credentials.Consumer{}, err
		}
		return found.Workloads[0].Consumer(), nil
	}
	if req.Namespace == "" {
		return credentials.Consumer{}, nil
	}
	appliers, err := e.openAppliers(req.Applier)
	switch {
	case err != nil:
		return credentials.Consumer{}, err
	case len(appliers) > 1:
		return credentials.Consumer{}, refusal.Invalid("there are several appliers: name the one whose pull secrets count")
	}
	return credentials.Consumer{
		Applier: appliers[0].id, Namespace: req.Namespace, ServiceAccount: req.ServiceAccount, PullSecrets: req.PullSecrets,
	}, nil
}

// CredentialMetrics are the figures of the providers of credentials.
func (e *Engine) CredentialMetrics() credentials.Metrics { return e.broker.Metrics() }
