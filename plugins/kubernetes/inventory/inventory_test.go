package inventory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

func filled(n int) *Inventory {
	inv := Of("shop", ID("shop", "sluice"))
	for i := range n {
		inv.Put(Record{Ref: applier.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: fmt.Sprintf("web-%d", i)},
			Resource: "deployments", UID: fmt.Sprint(i), Desired: "d", Owned: "o"})
	}
	return inv
}

// reload decodes maps as Load does.
func reload(maps []*unstructured.Unstructured) *Inventory {
	inv := Of("shop", ID("shop", "sluice"))
	var items []unstructured.Unstructured
	for _, u := range maps {
		inv.decode(u)
		inv.stored[u.GetName()] = shard{content: content(u)}
		items = append(items, *u)
	}
	inv.count(items)
	return inv
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, shardRecords, shardRecords + 1, 5 * shardRecords} {
		inv := filled(n)
		got := reload(inv.encode("sluice", "test"))
		if diff := cmp.Diff(inv.Records(), got.Records()); diff != "" {
			t.Errorf("%d records (-want +got):\n%s", n, diff)
		}
		if len(got.Damage) > 0 {
			t.Errorf("%d records: damage %v", n, got.Damage)
		}
	}
}

// TestGrowthNeverLoses: whichever writes of a growing inventory a crash leaves
// out, every record of before is somewhere.
func TestGrowthNeverLoses(t *testing.T) {
	before := filled(shardRecords)
	old := before.encode("sluice", "test")
	grown := reload(old)
	for i := range shardRecords {
		grown.Put(Record{Ref: applier.Ref{Kind: "Secret", Namespace: "n", Name: fmt.Sprint(i)}})
	}
	fresh := grown.encode("sluice", "test")
	if len(fresh) != 2 {
		t.Fatalf("%d shards, want 2", len(fresh))
	}
	crashed := reload([]*unstructured.Unstructured{old[0], fresh[1]}) // the highest is written first
	for _, r := range before.Records() {
		if _, ok := crashed.Get(r.Ref); !ok {
			t.Fatalf("%s is lost", r.Ref)
		}
	}
	if len(crashed.Damage) > 0 {
		t.Errorf("a crash between two writes counts as damage: %v", crashed.Damage)
	}
}

func TestDamage(t *testing.T) {
	maps := filled(shardRecords+1).encode("sluice", "test")
	edited := maps[0].DeepCopy()
	if err := unstructured.SetNestedField(edited.Object, "{}\nnot json\n", "data", dataKey); err != nil {
		t.Fatal(err)
	}
	for name, maps := range map[string][]*unstructured.Unstructured{
		"first shard missing":  {maps[1]},
		"second shard missing": {maps[0]},
		"edited":               {edited, maps[1]},
	} {
		if got := reload(maps); len(got.Damage) == 0 {
			t.Errorf("%s: no damage", name)
		}
	}
	if got := reload(nil); len(got.Damage) != 0 {
		t.Errorf("no inventory yet: %v", got.Damage)
	}
}

func TestNames(t *testing.T) {
	seen := map[string]string{}
	for _, owner := range []string{"shop", "Shop", "app[\"a\"]", "app-a", "app_a", "", "-", strings.Repeat("x", 300), "é", "a.b"} {
		name := Name(owner)
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			t.Errorf("%q: %q: %v", owner, name, problems)
		}
		if other, taken := seen[name]; taken {
			t.Errorf("%q and %q share %q", owner, other, name)
		}
		seen[name] = owner
		if problems := validation.IsValidLabelValue(ID(owner, "sluice")); len(problems) > 0 {
			t.Errorf("%q: id: %v", owner, problems)
		}
	}
	if Name("shop") != "sluice-sync-shop" {
		t.Errorf("Name(shop) = %q", Name("shop"))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"ref":{"kind":"A","name":"b"}}` + "\n")
	f.Add("{}\n\n[")
	f.Fuzz(func(t *testing.T, lines string) {
		u := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{dataKey: lines}}}
		u.SetAnnotations(map[string]string{sumAnnotation: checksum(lines)})
		inv := Of("shop", "id")
		inv.decode(u)
		for _, r := range inv.Records() {
			if r.Ref.Kind == "" || r.Ref.Name == "" {
				t.Errorf("record without identity from %q", lines)
			}
		}
	})
}

// TestMarksStay: what others write on the first shard is no change of the
// inventory, and stays when it is written anew.
func TestMarksStay(t *testing.T) {
	maps := filled(shardRecords+1).encode("sluice", "test")
	before := content(maps[0])
	annotations := maps[0].GetAnnotations()
	annotations["example.com/mark"], annotations["sluice.dev/sync-marker"] = "1", "main@1"
	maps[0].SetAnnotations(annotations)
	if content(maps[0]) != before {
		t.Error("a mark counts as a change of the inventory")
	}
	inv := reload(maps)
	inv.Revision = "main@2"
	again := inv.encode("sluice", "test")
	for name, want := range map[string]string{"example.com/mark": "1", "sluice.dev/sync-marker": "main@1", revisionAnnotation: "main@2"} {
		if got := again[0].GetAnnotations()[name]; got != want {
			t.Errorf("%s is %q after a rewrite, want %q", name, got, want)
		}
	}
	if _, marked := again[1].GetAnnotations()["example.com/mark"]; marked {
		t.Error("the mark went to another shard")
	}
}
