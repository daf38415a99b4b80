package foreseen_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-gitops/sluice/core/engine/foreseen"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// known is how a question is answered.
type known string

const (
	unknown known = "unknown"
	absent  known = "absent"
	broken  known = "broken"
)

func TestForeseen(t *testing.T) {
	type m = map[string]any
	objects := []struct {
		kind, namespace, name string // namespace: as the plan resolves it
		action                applier.Action
		fields                m
	}{
		{"ConfigMap", "demo", "new", applier.Create, m{"data": m{"a": "1"}, "binaryData": m{"blob": "AAE="}}},
		{"ConfigMap", "other", "new", applier.Create, m{"data": m{"a": "other"}}},
		{"ConfigMap", "demo", "changed", applier.Update, m{"data": m{"a": "2"}}},
		{"ConfigMap", "demo", "same", applier.None, m{"data": m{"a": "3"}}},
		{"ConfigMap", "demo", "ignored", applier.Ignored, m{"data": m{"a": "4"}}},
		{"ConfigMap", "demo", "refused", applier.Refused, m{"data": m{"a": "5"}}},
		{"Secret", "demo", "new", applier.Create, m{"data": m{"a": "aHVzaA==", "b": "aHVzaA==", "bad": "?"}, "stringData": m{"b": "hush, too"}}},
		{"Secret", "demo", "again", applier.Recreate, m{"stringData": m{"a": "6"}}},
	}
	var items []byte
	plan := &rollout.Plan{Prune: []applier.Ref{
		{Version: "v1", Kind: "ConfigMap", Namespace: "demo", Name: "old"}, {Version: "v1", Kind: "Secret", Namespace: "demo", Name: "again"},
	}}
	for i, o := range objects {
		o.fields["kind"], o.fields["apiVersion"], o.fields["metadata"] = o.kind, "v1", m{"name": o.name}
		item := applier.Item{File: "all.yaml", Line: i + 1, Object: o.fields}
		line, err := json.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		items = append(append(items, line...), '\n')
		ref := applier.Ref{Version: "v1", Kind: o.kind, Namespace: o.namespace, Name: o.name}
		plan.Objects = append(plan.Objects, rollout.Object{Ref: ref, Action: o.action, File: item.File, Line: item.Line})
	}
	file := filepath.Join(t.TempDir(), "objects.jsonl")
	if err := os.WriteFile(file, items, 0o600); err != nil {
		t.Fatal(err)
	}
	seen, err := foreseen.Read(file, plan)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		kind, namespace, name, key string
		want                       known
	}{
		{"ConfigMap", "demo", "new", "a", "1"},
		{"ConfigMap", "other", "new", "a", "other"},
		{"ConfigMap", "third", "new", "a", unknown},
		{"ConfigMap", "demo", "new", "b", absent},
		{"ConfigMap", "demo", "new", "blob", broken},
		{"ConfigMap", "demo", "changed", "a", "2"},
		{"ConfigMap", "demo", "changed", "b", unknown},
		{"ConfigMap", "demo", "same", "a", "3"},
		{"ConfigMap", "demo", "ignored", "a", unknown},
		{"ConfigMap", "demo", "refused", "a", unknown},
		{"ConfigMap", "demo", "old", "a", absent},
		{"Secret", "demo", "new", "a", "hush"},
		{"Secret", "demo", "new", "b", "hush, too"},
		{"Secret", "demo", "new", "bad", broken},
		{"Secret", "demo", "again", "a", "6"},
		{"Secret", "demo", "old", "a", unknown},
	}
	for _, tt := range tests {
		var value string
		var err error
		if tt.kind == "Secret" {
			s, secretErr := seen.Secret(tt.namespace, tt.name, tt.key)
			value, err = s.Reveal(), secretErr
		} else {
			value, err = seen.Config(tt.namespace, tt.name, tt.key)
		}
		got := known(value)
		switch {
		case errors.Is(err, foreseen.ErrUnknown):
			got = unknown
		case errors.Is(err, release.ErrNoValues):
			got = absent
		case err != nil:
			got = broken
		}
		if got != tt.want {
			t.Errorf("%s %s/%s %s: %q, %v; want %s", tt.kind, tt.namespace, tt.name, tt.key, got, err, tt.want)
		}
	}
}

// TestUnreadable: a file that cannot be read tells nothing, and says so.
func TestUnreadable(t *testing.T) {
	plan := &rollout.Plan{Objects: []rollout.Object{{Ref: applier.Ref{Kind: "Secret", Name: "a"}, Action: applier.Create, File: "a.yaml", Line: 1}}}
	if _, err := foreseen.Read(filepath.Join(t.TempDir(), "none"), plan); err == nil {
		t.Error("no error")
	}
}
