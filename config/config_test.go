package config_test

import (
	"fmt"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

// schemas answers like plugins that are installed.
type schemas map[string]*schema.Schema

func (s schemas) Schema(kind, typ string) (*schema.Schema, string, error) {
	if found, ok := s[kind+"/"+typ]; ok {
		return found, "plugin " + typ + " 1.4.2", nil
	}
	return nil, "", missing{fmt.Sprintf("no installed plugin offers %s/%s; looked for sluice-plugin-%s in /usr/lib/sluice", kind, typ, typ)}
}

// missing says that there is no such plugin.
type missing struct{ text string }

func (e missing) Error() string        { return e.text }
func (e missing) Is(target error) bool { return target == config.ErrNoPlugin }

// installed is a schema with every feature a schema can have.
func installed(config.Settings, []config.Plugin) config.SchemaSource {
	str := schema.Type{Kind: schema.String}
	num := schema.Type{Kind: schema.Number}
	yes := schema.Type{Kind: schema.Bool}
	list := schema.Type{Kind: schema.ListOf, Elem: &str}
	return schemas{
		"source/git": {
			Attributes: []schema.Attribute{
				{Name: "url", Type: str, Required: true, Format: schema.FormatURL, Doc: "Where the repository is."},
				{Name: "branch", Type: str, Default: []byte(`"main"`)},
				{Name: "depth", Type: num, Default: []byte(`1`)},
				{Name: "token", Type: str, Sensitive: true},
				{Name: "key_file", Type: str, Format: schema.FormatPath},
				{Name: "max_size", Type: num, Format: schema.FormatBytes},
				{Name: "poll", Type: str, Format: schema.FormatDuration},
				{Name: "tags", Type: str, Format: schema.FormatRegexp},
				{Name: "auth", Type: str, Enum: []string{"none", "basic", "bearer"}},
				{Name: "ref", Type: str, Deprecated: "Use branch instead."},
				{Name: "include", Type: list},
				{Name: "labels", Type: schema.Type{Kind: schema.MapOf, Elem: &str}},
				{Name: "values", Type: schema.Type{Kind: schema.Any}},
				{Name: "proxy", Type: schema.Type{Kind: schema.Object, Fields: []schema.Field{
					{Name: "host", Type: str}, {Name: "port", Type: num, Optional: true},
				}}},
			},
			Blocks: []schema.Block{
				{Name: "ssh", Nesting: schema.Single, Body: schema.Schema{Attributes: []schema.Attribute{
					{Name: "key_secret", Type: str, Required: true}, {Name: "timeout", Type: str, Format: schema.FormatDuration, Default: []byte(`"30s"`)},
				}}},
				{Name: "write", Nesting: schema.Single, Body: schema.Schema{Attributes: []schema.Attribute{
					{Name: "author", Type: str}, {Name: "ci_skip", Type: yes},
				}}},
				{Name: "mirror", Nesting: schema.List, Max: 2, Body: schema.Schema{Attributes: []schema.Attribute{{Name: "to", Type: str}}}},
				{Name: "header", Labels: []string{"name"}, Nesting: schema.Map, Body: schema.Schema{Attributes: []schema.Attribute{{Name: "value", Type: str}}}},
			},
		},
		"source/bucket": {Blocks: []schema.Block{{Name: "object", Nesting: schema.List, Min: 1}}},
		"applier/kubernetes": {Attributes: []schema.Attribute{
			{Name: "kubeconfig", Type: str, Format: schema.FormatPath}, {Name: "context", Type: str}, {Name: "default_namespace", Type: str}, {Name: "namespaces", Type: list},
		}},
		"helm/helm": {Attributes: []schema.Attribute{
			{Name: "kubeconfig", Type: str, Format: schema.FormatPath}, {Name: "context", Type: str}, {Name: "namespaces", Type: list},
			{Name: "storage", Type: str, Enum: []string{"secret", "configmap"}, Default: []byte(`"secret"`)},
		}},
		"registry_credential/ecr": {Attributes: []schema.Attribute{{Name: "regions", Type: list}}},
		"renderer/kustomize":      {Attributes: []schema.Attribute{{Name: "enable_helm", Type: yes}}},
	}
}
