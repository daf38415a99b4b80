// Package pullsecret finds in image pull secrets what to authenticate to a
// registry with. It is pure: secrets go in, a credential comes out.
//
// Which entry is for an image is decided as the kubelet decides it
// (https://kubernetes.io/docs/concepts/containers/images/#config-json, and
// k8s.io/kubernetes/pkg/credentialprovider/keyring.go):
//
//   - The key of an entry is a host, as it may stand in an image's name or in a
//     URL: with or without scheme, /v1/ or /v2/, in any case.
//   - A host may have globs, each for a part between two dots: *.example.com is
//     for a.example.com, and for neither example.com nor a.b.example.com. Ports
//     have none and must be equal; that of https may be left out.
//   - A path narrows an entry to the repositories at and below it. Here it ends
//     where a name ends: host/org is not for host/organic/app, for which the
//     kubelet, which compares letters, would try it too.
//   - A host without globs goes before one with them, then a longer path before
//     a shorter one, then an earlier secret before a later one. The kubelet
//     goes on to the next one when the registry refuses the first; a Ring
//     returns the first only.
//
// The names of Docker Hub (docker.io, index.docker.io, registry-1.docker.io)
// are one host.
//
// No error quotes anything but the keys of entries, without what stands before
// an @ in them.
package pullsecret

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// Types of secrets that a Ring takes, and the key of the content of each.
const (
	TypeDockerConfigJSON = "kubernetes.io/dockerconfigjson"
	TypeDockercfg        = "kubernetes.io/dockercfg"

	keyDockerConfigJSON = ".dockerconfigjson"
	keyDockercfg        = ".dockercfg"
)

// Ring holds the entries of several secrets, in the order in which they were
// added. The zero Ring is empty and ready.
type Ring struct{ entries []entry }

// Add takes up the entries of a Secret of type typ with data. The error tells
// what of it cannot be used; the rest of it is taken up all the same.
func (r *Ring) Add(typ string, data map[string][]byte) error {
	key := map[string]string{TypeDockerConfigJSON: keyDockerConfigJSON, TypeDockercfg: keyDockercfg}[typ]
	if key == "" {
		return fmt.Errorf("its type is %q; a pull secret's is %s or %s", typ, TypeDockerConfigJSON, TypeDockercfg)
	}
	content, there := data[key]
	if !there {
		return fmt.Errorf("it has no key %s", key)
	}
	entries, err := parse(content)
	if err != nil {
		return err
	}
	var unusable []error
	for _, host := range slices.Sorted(maps.Keys(entries)) {
		e, err := newEntry(host, entries[host])
		if err != nil {
			unusable = append(unusable, err)
			continue
		}
		r.entries = append(r.entries, e)
	}
	return errors.Join(unusable...)
}

// Keys returns what each entry is for, as it is written there but for what
// stands before an @, in the order in which the entries were added.
func (r *Ring) Keys() []string {
	keys := make([]string, len(r.entries))
	for i, e := range r.entries {
		keys[i] = e.key
	}
	return keys
}

// Find returns the credential for a repository of a registry; ok is false if
// no entry is for it. Its scope is the registry only if no entry for the
// registry has a path, for which another repository may get another answer.
//
// The error tells of entries that are for the repository and cannot be used.
// There may be a credential all the same.
func (r *Ring) Find(host, repository string) (c registry.Credential, ok bool, err error) {
	host = canonical(host)
	scope := registry.ScopeRegistry
	var matching []entry
	for _, e := range r.entries {
		if !e.isFor(host) {
			continue
		}
		if e.path != "" {
			scope = registry.ScopeRepository
		}
		if e.covers(repository) {
			matching = append(matching, e)
		}
	}
	slices.SortStableFunc(matching, moreSpecific)
	var unusable []error
	for _, e := range matching {
		if e.err != nil {
			unusable = append(unusable, e.err)
			continue
		}
		c = e.credential
		c.Scope = scope
		return c, true, errors.Join(unusable...)
	}
	return registry.Credential{}, false, errors.Join(unusable...)
}

func moreSpecific(a, b entry) int {
	if a.glob != b.glob {
		if b.glob {
			return -1
		}
		return 1
	}
	return cmp.Compare(len(b.path), len(a.path))
}
