package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	shardRecords = 2000 // about 500 kB; the API server takes 1 MiB
	dataKey      = "objects"

	ownerLabel  = "sluice.dev/inventory"      // on every shard: the ApplySet's id
	parentLabel = "applyset.kubernetes.io/id" // on the first shard
	tooling     = "applyset.kubernetes.io/tooling"
	groupKinds  = "applyset.kubernetes.io/contains-group-kinds"
	namespaces  = "applyset.kubernetes.io/additional-namespaces"

	ownerAnnotation    = "sluice.dev/owner"
	revisionAnnotation = "sluice.dev/revision"
	originAnnotation   = "sluice.dev/origin"
	writerAnnotation   = "sluice.dev/writer"
	shardsAnnotation   = "sluice.dev/shards" // on the first shard: how many there must be
	sumAnnotation      = "sluice.dev/checksum"
)

// written are the annotations that we write ourselves. Others stay as they are.
var written = []string{
	ownerAnnotation, revisionAnnotation, originAnnotation, writerAnnotation, shardsAnnotation, sumAnnotation, tooling, groupKinds, namespaces,
}

// split tells our own annotations from marks.
func split(annotations map[string]string) (own, marks map[string]string) {
	own, marks = map[string]string{}, map[string]string{}
	for name, value := range annotations {
		if slices.Contains(written, name) {
			own[name] = value
		} else {
			marks[name] = value
		}
	}
	return own, marks
}

// shard is a ConfigMap as it stands in the cluster.
type shard struct {
	version string // resourceVersion
	content string // what would make it worth writing again
}

// shards returns how many an inventory of n records is spread over. It only
// grows by doubling, which moves each record at most once.
func shards(n, before int) int {
	count := max(1, before)
	for count*shardRecords < n {
		count *= 2
	}
	return count
}

// spread is how many shards there are, or were before one was lost.
func (i *Inventory) spread() int {
	count := 0
	for name := range i.stored {
		n, _ := strconv.Atoi(strings.TrimPrefix(name, Name(i.Owner)+".")) // the first shard has no number
		count = max(count, n+1)
	}
	return count
}

func shardName(owner string, index int) string {
	if index == 0 {
		return Name(owner)
	}
	return Name(owner) + "." + strconv.Itoa(index)
}

func shardOf(ref applier.Ref, count int) int {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%s/%s/%s", ref.Group, ref.Kind, ref.Namespace, ref.Name)
	return int(h.Sum32() % uint32(count))
}

// encode builds the ConfigMaps, first shard first.
func (i *Inventory) encode(namespace, version string) []*unstructured.Unstructured {
	count := shards(i.Len(), i.spread())
	lines := make([]strings.Builder, count)
	for _, r := range i.Records() {
		line, _ := json.Marshal(r) // strings only: cannot fail
		b := &lines[shardOf(r.Ref, count)]
		b.Write(line)
		b.WriteByte('\n')
	}
	out := make([]*unstructured.Unstructured, count)
	for n := range out {
		out[n] = i.configMap(namespace, n, lines[n].String())
	}
	parent := out[0]
	parent.SetLabels(map[string]string{ownerLabel: i.ID, parentLabel: i.ID})
	annotations := parent.GetAnnotations()
	annotations[tooling] = "sluice/" + version
	annotations[groupKinds], annotations[namespaces] = i.contains(namespace)
	annotations[shardsAnnotation] = strconv.Itoa(count)
	annotations[revisionAnnotation], annotations[originAnnotation] = i.Revision, i.Origin
	if i.Writer != "" {
		annotations[writerAnnotation] = i.Writer
	}
	maps.Copy(annotations, i.Marks)
	parent.SetAnnotations(annotations)
	return out
}

func (i *Inventory) configMap(namespace string, index int, lines string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"data":       map[string]any{dataKey: lines},
	}}
	u.SetNamespace(namespace)
	u.SetName(shardName(i.Owner, index))
	u.SetLabels(map[string]string{ownerLabel: i.ID})
	u.SetAnnotations(map[string]string{ownerAnnotation: i.Owner, sumAnnotation: checksum(lines)})
	return u
}

// contains returns the ApplySet's hints: the group kinds of the members, and
// the namespaces other than the parent's.
func (i *Inventory) contains(namespace string) (kinds, others string) {
	var ks, ns []string
	for ref := range i.records {
		k := ref.Kind
		if ref.Group != "" {
			k += "." + ref.Group
		}
		ks = append(ks, k)
		if ref.Namespace != "" && ref.Namespace != namespace {
			ns = append(ns, ref.Namespace)
		}
	}
	return joinUnique(ks), joinUnique(ns)
}

func joinUnique(s []string) string {
	slices.Sort(s)
	return strings.Join(slices.Compact(s), ",")
}

// decode adds the records of one shard; what is wrong with it becomes Damage.
func (i *Inventory) decode(u *unstructured.Unstructured) {
	lines, _, err := unstructured.NestedString(u.Object, "data", dataKey)
	if err != nil || checksum(lines) != u.GetAnnotations()[sumAnnotation] {
		i.damaged("ConfigMap %s was changed by somebody else", u.GetName())
	}
	for n, line := range bytes.Split([]byte(lines), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var r Record
		if err := json.Unmarshal(line, &r); err != nil || r.Ref.Kind == "" || r.Ref.Name == "" {
			i.damaged("ConfigMap %s: line %d of %s cannot be read", u.GetName(), n+1, dataKey)
			continue
		}
		// A record stands twice only when a crash came between the writes of
		// two shards; the one that knows more is the newer.
		if known, ok := i.Get(r.Ref); !ok || known.Desired == "" {
			i.Put(r)
		}
	}
}

func (i *Inventory) damaged(format string, args ...any) {
	i.Damage = append(i.Damage, fmt.Sprintf(format, args...))
}
