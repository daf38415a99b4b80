// Package foreseen tells what the ConfigMaps and Secrets of a target will hold
// once what was planned has been applied, as far as the plan tells: so that what
// is planned beside it, and reads them, can be planned too.
//
// An object that is to be created is known in whole, and so is one that is to be
// deleted. Of one that exists already only the keys are known that the plan sets:
// others may be somebody else's, so the target is to be asked for them.
package foreseen

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// ErrUnknown says that the plan does not tell: the target does.
var ErrUnknown = errors.New("not known from the plan")

// Objects are the ConfigMaps and Secrets of one plan. They do not change.
type Objects struct {
	objects map[applier.Ref]object
}

// object is one that will be there, or will not.
type object struct {
	whole bool // there are no keys beside those that are known
	gone  bool
	keys  map[string]key
}

type key struct {
	value  secret.Secret
	binary bool
	err    error
}

// Read reads what plan is to apply of items, the file that it was made from.
func Read(items string, plan *rollout.Plan) (*Objects, error) {
	intended := map[place]rollout.Object{}
	o := &Objects{objects: map[applier.Ref]object{}}
	for _, ref := range plan.Prune {
		if isConfig(ref) {
			o.objects[ref.Identity()] = object{whole: true, gone: true}
		}
	}
	for _, p := range plan.Objects {
		if isConfig(p.Ref) && p.File != "" {
			intended[place{p.File, p.Line, p.Ref.Kind, p.Ref.Name}] = p
		}
	}
	if len(intended) == 0 {
		return o, nil
	}
	for item, err := range (applier.Set{Objects: items}).Items() {
		if err != nil {
			return nil, err
		}
		kind, _ := item.Object["kind"].(string)
		meta, _ := item.Object["metadata"].(map[string]any)
		name, _ := meta["name"].(string)
		p, ok := intended[place{item.File, item.Line, kind, name}]
		if !ok {
			continue
		}
		switch p.Action {
		case applier.Create, applier.Recreate:
			o.objects[p.Ref.Identity()] = object{whole: true, keys: keysOf(item.Object)}
		case applier.Update, applier.None:
			o.objects[p.Ref.Identity()] = object{keys: keysOf(item.Object)}
		}
	}
	return o, nil
}

// place tells the objects of a load apart, whatever namespace those are in that
// name none.
type place struct {
	file       string
	line       int
	kind, name string
}

func isConfig(r applier.Ref) bool {
	return r.Group == "" && (r.Kind == "ConfigMap" || r.Kind == "Secret")
}

// keysOf are the keys of a ConfigMap or Secret, as an API server understands it.
func keysOf(o map[string]any) map[string]key {
	keys := map[string]key{}
	isSecret := o["kind"] == "Secret"
	for name, value := range mapOf(o, "binaryData") {
		keys[name] = key{value: secret.New(value), binary: true}
	}
	for name, value := range mapOf(o, "data") {
		k := key{value: secret.New(value)}
		if isSecret {
			text, err := base64.StdEncoding.DecodeString(value)
			if k.value = secret.New(string(text)); err != nil {
				k.err = errors.New("it is not base64")
			}
		}
		keys[name] = k
	}
	if isSecret {
		for name, value := range mapOf(o, "stringData") {
			keys[name] = key{value: secret.New(value)}
		}
	}
	return keys
}

// mapOf are the texts of a field.
func mapOf(o map[string]any, field string) map[string]string {
	texts := map[string]string{}
	values, _ := o[field].(map[string]any)
	for name, value := range values {
		if text, ok := value.(string); ok {
			texts[name] = text
		}
	}
	return texts
}

// Config is what a key of a ConfigMap will hold. The error is ErrUnknown, or
// release.ErrNoValues of what will not be there.
func (o *Objects) Config(namespace, name, key string) (string, error) {
	k, err := o.key("ConfigMap", namespace, name, key)
	if err == nil && k.binary {
		return "", fmt.Errorf("ConfigMap %s/%s: the key %q is binary, and only text is read", namespace, name, key)
	}
	return k.value.Reveal(), err
}

// Secret is Config for a Secret.
func (o *Objects) Secret(namespace, name, key string) (secret.Secret, error) {
	k, err := o.key("Secret", namespace, name, key)
	return k.value, err
}

func (o *Objects) key(kind, namespace, name, of string) (key, error) {
	found, ok := o.objects[applier.Ref{Kind: kind, Namespace: namespace, Name: name}]
	k, has := found.keys[of]
	what := fmt.Sprintf("%s %s/%s", kind, namespace, name)
	switch {
	case !ok, !has && !found.whole:
		return key{}, ErrUnknown
	case found.gone:
		return key{}, fmt.Errorf("%s is about to be deleted: %w", what, release.ErrNoValues)
	case !has:
		return key{}, fmt.Errorf("%s is about to be created, without a key %q: %w", what, of, release.ErrNoValues)
	case k.err != nil:
		return key{}, fmt.Errorf("%s: key %q: %w", what, of, k.err)
	}
	return k, nil
}
