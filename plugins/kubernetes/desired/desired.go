// Package desired turns the items of a Set into objects that can be sent: of a
// kind that the cluster serves, in a namespace, labelled as a member of the
// owner's ApplySet, without what only the cluster may write, and hashed.
//
// An item that cannot be sent is an Object too, with a Problem that says what
// is wrong at file:line. Reading changes nothing in the cluster.
package desired

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Object is one item of the set.
type Object struct {
	Ref     applier.Ref
	Kind    cluster.Kind
	File    string
	Line    int
	Body    []byte            // JSON to send, keys sorted
	Hash    string            // of Body
	Ignored string            // why it is not to be applied; empty: it is
	Problem *diag.Diagnostic  // why it cannot be sent; nil: it can
	Defines *schema.GroupKind // the kind that it defines, for a CRD
	InSet   bool              // its kind is defined by a CRD of the same set
}

// Options are what the set itself does not say.
type Options struct {
	Namespace  string   // for namespaced objects without one
	Namespaces []string // nothing outside is sent; empty: everything is
	Label      string   // key of the membership label
	Member     string   // its value
}

// Set is everything that was read. Anonymous says that some item was so broken
// that nobody can tell which object it means, so that no other object may be
// called superfluous.
type Set struct {
	Objects   []Object
	Anonymous bool
}

// Read reads the items of the file at path.
func Read(ctx context.Context, path string, o Options, kinds *cluster.Kinds) (Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return Set{}, fmt.Errorf("objects: %w", err)
	}
	defer f.Close()
	drafts, err := decode(f)
	if err != nil {
		return Set{}, fmt.Errorf("objects %s: %w", path, err)
	}
	r := resolver{kinds: kinds, defined: definitions(drafts)}
	set := Set{Objects: make([]Object, 0, len(drafts))}
	seen := map[applier.Ref]*Object{}
	for i := range drafts {
		obj, err := r.object(ctx, &drafts[i], o)
		if err != nil {
			return Set{}, err
		}
		drafts[i].content = nil // the body holds it now
		set.Anonymous = set.Anonymous || obj.Ref.Kind == "" || obj.Ref.Name == ""
		if first := seen[obj.Ref.Identity()]; first != nil && obj.Problem == nil {
			obj.fail("declared twice", fmt.Sprintf("%s is declared at %s:%d already, which counts. Remove one of the two.", obj.Ref, first.File, first.Line))
		}
		set.Objects = append(set.Objects, obj)
		if seen[obj.Ref.Identity()] == nil {
			seen[obj.Ref.Identity()] = &set.Objects[len(set.Objects)-1]
		}
	}
	return set, nil
}

// item is the wire form of a line. Ignore is the loader's reason to leave the
// object alone, if it has one.
type item struct {
	File   string          `json:"file"`
	Line   int             `json:"line"`
	Ignore string          `json:"ignore"`
	Object json.RawMessage `json:"object"`
}

type draft struct {
	item
	content map[string]any
	gvk     schema.GroupVersionKind
}

func decode(r io.Reader) ([]draft, error) {
	dec := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	var drafts []draft
	for {
		var d draft
		if err := dec.Decode(&d.item); errors.Is(err, io.EOF) {
			return drafts, nil
		} else if err != nil {
			return nil, fmt.Errorf("item %d: %w", len(drafts)+1, err)
		}
		if err := utiljson.Unmarshal(d.Object, &d.content); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", d.File, d.Line, err)
		}
		d.Object = nil
		d.gvk = schema.FromAPIVersionAndKind(text(d.content, "apiVersion"), text(d.content, "kind"))
		drafts = append(drafts, d)
	}
}

// Hash is the form in which bodies and field sets are remembered.
func Hash(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

func (o *Object) fail(summary, detail string) {
	o.Problem = &diag.Diagnostic{
		Summary: summary,
		Detail:  detail,
		Subject: &diag.Range{File: o.File, Start: diag.Pos{Line: o.Line}},
	}
}
