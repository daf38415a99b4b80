package patch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Patcher makes and applies patches. Safe for concurrent use.
type Patcher struct{ kinds *runtime.Scheme }

// New returns a Patcher that knows the kinds of Kubernetes.
func New() (*Patcher, error) {
	kinds, err := builtIn()
	if err != nil {
		return nil, err
	}
	return &Patcher{kinds}, nil
}

// typeOf returns a value of the Go type of a kind of Kubernetes itself, whose
// tags tell how lists are merged.
func (p *Patcher) typeOf(r applier.Ref) (any, bool) {
	v, err := p.kinds.New(schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind})
	return v, err == nil
}

// Apply applies the patches in file to objects. Patches of objects that are not
// there are returned: what they were for may have gone since.
func (p *Patcher) Apply(objects []Object, file []byte) (patched []Object, unused []applier.Ref, err error) {
	patches, err := Decode(file)
	if err != nil {
		return nil, nil, err
	}
	patched = slices.Clone(objects)
	for _, patch := range patches {
		i := slices.IndexFunc(patched, func(o Object) bool { return o.Ref.Identity() == patch.Ref.Identity() })
		if i < 0 {
			unused = append(unused, patch.Ref)
			continue
		}
		if patched[i].JSON, err = p.apply(patched[i], patch.JSON); err != nil {
			return nil, nil, fmt.Errorf("the patch of %s: %w", patch.Ref, err)
		}
	}
	return patched, unused, nil
}

func (p *Patcher) apply(o Object, patch []byte) (json.RawMessage, error) {
	if typ, ok := p.typeOf(o.Ref); ok {
		return strategicpatch.StrategicMergePatch(o.JSON, patch, typ)
	}
	return jsonpatch.MergePatch(o.JSON, patch)
}

// diff returns the patch that makes to of from, nil if they are equal.
func (p *Patcher) diff(from, to Object) (map[string]any, error) {
	var data []byte
	var err error
	if typ, ok := p.typeOf(from.Ref); ok {
		data, err = strategicpatch.CreateTwoWayMergePatch(from.JSON, to.JSON, typ)
	} else {
		data, err = jsonpatch.CreateMergePatch(from.JSON, to.JSON)
	}
	if err != nil {
		return nil, err
	}
	patch := map[string]any{}
	if err := json.Unmarshal(data, &patch); err != nil || len(patch) == 0 {
		return nil, err
	}
	return patch, nil
}

// Rewrite returns file such that it makes wanted of generated, which holds the
// same object before patches. Other patches keep their bytes.
func (p *Patcher) Rewrite(file []byte, generated, wanted Object) ([]byte, error) {
	diff, err := p.diff(generated, wanted)
	if err != nil {
		return nil, fmt.Errorf("patch of %s: %w", wanted.Ref, err)
	}
	docs, err := split(file)
	if err != nil {
		return nil, err
	}
	kept := docs[:0]
	at := -1
	for _, doc := range docs {
		objects, err := decode(doc)
		if err != nil {
			return nil, err
		}
		if len(objects) == 1 && objects[0].Ref.Identity() == wanted.Ref.Identity() {
			at = len(kept)
		}
		kept = append(kept, doc)
	}
	switch {
	case diff == nil && at >= 0:
		kept = slices.Delete(kept, at, at+1)
	case diff == nil:
		return file, nil
	default:
		text, err := document(wanted.Ref, diff)
		if err != nil {
			return nil, err
		}
		if at < 0 {
			kept = append(kept, text)
		} else {
			kept[at] = text
		}
	}
	return join(kept), nil
}

// document writes a patch, with what names its object in front.
func document(r applier.Ref, diff map[string]any) ([]byte, error) {
	version := r.Version
	if r.Group != "" {
		version = r.Group + "/" + version
	}
	head := map[string]any{"name": r.Name}
	if r.Namespace != "" {
		head["namespace"] = r.Namespace
	}
	if m, ok := diff["metadata"].(map[string]any); ok {
		m = maps.Clone(m)
		maps.Copy(m, head)
		head = m
	}
	diff = maps.Clone(diff)
	diff["apiVersion"], diff["kind"], diff["metadata"] = version, r.Kind, head
	return yaml.Marshal(diff)
}

func join(docs [][]byte) []byte {
	var out bytes.Buffer
	for i, doc := range docs {
		doc = bytes.TrimSuffix(doc, []byte("\n"))
		if i > 0 || bytes.HasPrefix(doc, []byte("---")) {
			doc = append([]byte("---\n"), bytes.TrimPrefix(doc, []byte("---\n"))...)
		}
		out.Write(doc)
		out.WriteByte('\n')
	}
	return out.Bytes()
}
