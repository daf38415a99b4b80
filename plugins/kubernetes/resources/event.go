package resources

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	component   = "sluice" // as the source of events
	mostMessage = 1 << 10  // bytes of an event's message
	mostTales   = 1000     // events whose count is remembered
)

var events = schema.GroupVersionResource{Version: "v1", Resource: "events"}

// tales remembers how often events were told, so that the next time takes one
// request.
type tales struct {
	mu     sync.Mutex
	counts map[string]int64 // by namespace/name
}

func newTales() *tales { return &tales{counts: map[string]int64{}} }

func (t *tales) get(key string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[key]
}

// set remembers a count; 0 forgets it.
func (t *tales) set(key string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.counts) >= mostTales {
		clear(t.counts) // it is only a short cut
	}
	if t.counts[key] = n; n == 0 {
		delete(t.counts, key)
	}
}

// TellResource implements applier.ResourceKeeper. An event's name follows from
// what it says, so that one that was told before, also by an earlier process,
// is found and counted.
func (k *Keeper) TellResource(ctx context.Context, e applier.ResourceEvent) error {
	if err := k.allowed(e.Ref.String(), e.Ref.Namespace); err != nil {
		return err
	}
	e.Message = cut(e.Message, mostMessage)
	t := &telling{Keeper: k, event: e, kind: "Normal", namespace: cmp.Or(e.Ref.Namespace, metav1.NamespaceDefault)}
	if e.Warning {
		t.kind = "Warning"
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s", e.UID, t.kind, e.Reason, e.Message))
	t.name = fmt.Sprintf("%s.%x", strings.TrimRight(cut(e.Ref.Name, 200), "."), sum[:8])
	if err := t.tell(ctx); err != nil {
		return fmt.Errorf("event about %s: %w", e.Ref, cluster.Grant(err, events.GroupResource(), t.namespace, "create", "get", "patch"))
	}
	return nil
}

// telling is one call of TellResource.
type telling struct {
	*Keeper
	event           applier.ResourceEvent
	kind            string // Normal or Warning
	namespace, name string
}

func (t *telling) key() string { return t.namespace + "/" + t.name }

func (t *telling) tell(ctx context.Context) error {
	if told := t.tales.get(t.key()); told > 0 {
		if err := t.count(ctx, told+1); !apierrors.IsNotFound(err) {
			return err
		} // it has expired
	}
	err := t.create(ctx)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	var found struct {
		Count int64 `json:"count"`
	}
	if err := t.Client.Object(ctx, events, t.namespace, t.name, &found); err != nil {
		return err
	}
	return t.count(ctx, found.Count+1)
}

func (t *telling) count(ctx context.Context, n int64) error {
	body := fmt.Appendf(nil, `{"count":%d,"lastTimestamp":%q}`, n, now())
	_, err := t.Client.Metadata.Resource(events).Namespace(t.namespace).
		Patch(ctx, t.name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: t.Manager})
	if err != nil {
		n = 0
	}
	t.tales.set(t.key(), n)
	return err
}

func (t *telling) create(ctx context.Context) error {
	ref, when := t.event.Ref, now()
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Event",
		"involvedObject": map[string]any{
			"apiVersion": kindOf(ref).GroupVersion().String(), "kind": ref.Kind,
			"namespace": ref.Namespace, "name": ref.Name, "uid": t.event.UID,
		},
		"type": t.kind, "reason": t.event.Reason, "message": t.event.Message,
		"source": map[string]any{"component": component}, "reportingComponent": component,
		"firstTimestamp": when, "lastTimestamp": when, "count": int64(1),
	}}
	u.SetNamespace(t.namespace)
	u.SetName(t.name)
	_, err := t.Client.Dynamic.Resource(events).Namespace(t.namespace).Create(ctx, u, metav1.CreateOptions{FieldManager: t.Manager})
	if err == nil {
		t.tales.set(t.key(), 1)
	}
	return err
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// cut shortens s to at most n bytes, between two characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "..."
	return strings.ToValidUTF8(s[:n-len(mark)], "") + mark
}
