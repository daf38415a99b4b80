// Package inventory remembers in the cluster which objects an owner has.
//
// An inventory is one or more ConfigMaps (shards) that together form the
// parent of an ApplySet as KEP-3659 describes it, so that other tools can read
// it. Each holds one JSON Record a line. It is written before the objects
// (the union of what is there and what will be), and a record leaves only
// after its object is gone. So a crash at any moment leaves a record for each
// object, and at worst some records without one.
//
// A record lives in the shard that its identity hashes to. When shards are
// added, the new ones are written before the records leave the old ones.
package inventory

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Record is one object of the owner. Resource is the plural under which its
// kind was served. Desired and Owned are the hashes of the
// last successful apply: of what was sent, and of our managedFields entry in
// the answer. They are empty for an object that was only intended.
type Record struct {
	Ref      applier.Ref `json:"ref"`
	Resource string      `json:"resource,omitempty"`
	UID      string      `json:"uid,omitempty"`
	Desired  string      `json:"desired,omitempty"`
	Owned    string      `json:"owned,omitempty"`
}

// GVK is the kind of the object in the version in which it was applied.
func (r Record) GVK() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Ref.Group, Version: r.Ref.Version, Kind: r.Ref.Kind}
}

// Kind is how the object's kind was served when it was applied.
func (r Record) Kind() cluster.Kind {
	return cluster.Kind{GroupVersionKind: r.GVK(), Resource: r.Resource, Namespaced: r.Ref.Namespace != ""}
}

// Inventory is what an owner has. It is not safe for concurrent use.
type Inventory struct {
	Owner    string
	ID       string // of the ApplySet
	Revision string // of the source, for people to read
	Origin   string // where the owner's objects come from, as the host put it
	Writer   string // who applied them last, as the host put it
	// Marks are the annotations of the first shard that are no part of the
	// inventory: those that Store.Mark set, and other people's.
	Marks map[string]string
	// Damage says what is wrong with what was read, empty if it is whole.
	// Nothing may be deleted on the word of a damaged inventory.
	Damage []string

	records map[applier.Ref]Record
	stored  map[string]shard // as read, by name
}

// Of returns an empty inventory of owner, whose ApplySet has id.
func Of(owner, id string) *Inventory {
	return &Inventory{Owner: owner, ID: id, records: map[applier.Ref]Record{}, stored: map[string]shard{}}
}

// Get returns the record of an object.
func (i *Inventory) Get(ref applier.Ref) (Record, bool) {
	r, ok := i.records[ref.Identity()]
	return r, ok
}

// Put adds or replaces a record.
func (i *Inventory) Put(r Record) { i.records[r.Ref.Identity()] = r }

// Drop forgets an object.
func (i *Inventory) Drop(ref applier.Ref) { delete(i.records, ref.Identity()) }

// Exists tells whether there is an inventory in the cluster.
func (i *Inventory) Exists() bool { return len(i.stored) > 0 }

// Lost notes that there should be an inventory in the cluster.
func (i *Inventory) Lost() { i.damaged("ConfigMap %s is missing", Name(i.Owner)) }

// Len is the number of records.
func (i *Inventory) Len() int { return len(i.records) }

// Records returns all records, sorted by identity.
func (i *Inventory) Records() []Record {
	return slices.SortedFunc(maps.Values(i.records), func(a, b Record) int { return Compare(a.Ref, b.Ref) })
}

// Compare orders by namespace, group, kind and name.
func Compare(a, b applier.Ref) int {
	for _, pair := range [][2]string{{a.Namespace, b.Namespace}, {a.Group, b.Group}, {a.Kind, b.Kind}} {
		if c := strings.Compare(pair[0], pair[1]); c != 0 {
			return c
		}
	}
	return strings.Compare(a.Name, b.Name)
}

// Name returns the name of the ConfigMap that is the inventory of owner. An
// owner's name that is not a legal object name gets a hash, so that two owners
// never share one.
func Name(owner string) string {
	const most = 40
	slug := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(owner)), "-")
	if slug != "" && slug == owner && len(slug) <= most {
		return "sluice-sync-" + slug
	}
	sum := sha256.Sum256([]byte(owner))
	slug = strings.TrimRight(slug[:min(most, len(slug))], "-")
	return "sluice-sync-" + strings.TrimLeft(slug+"-"+hex.EncodeToString(sum[:4]), "-")
}

// ID returns the ApplySet id of the inventory of owner in namespace: by the
// KEP, a hash of the parent's name, namespace, kind and group.
func ID(owner, namespace string) string {
	sum := sha256.Sum256([]byte(Name(owner) + "." + namespace + ".ConfigMap."))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}
