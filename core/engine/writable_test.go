package engine

import (
	"strings"
	"testing"
	"testing/synctest"
)

// TestReadOnlyBlock: that an automation will never be able to write is said when
// the configuration is read, and at the start.
func TestReadOnlyBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guarded := strings.ReplaceAll(automated, "memory", "guarded")
		f := newFleet(t, guarded, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		expect(t, f.e, automation, Blocked, "source.guarded.shop is read-only: add write { } to its block")
		diags := f.e.Load(t.Context())
		if len(diags) != 1 || diags.HasErrors() || diags[0].Subject == nil || !strings.Contains(diags[0].Detail, automation) {
			t.Errorf("%v", diags)
		}
		write := strings.Replace(guarded, `{ url = "mem://shop" }`, "{\n  url = \"mem://shop\"\n  write {}\n}", 1)
		if write == guarded {
			t.Fatal("the source has no url")
		}
		w := newFleet(t, write, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		expect(t, w.e, automation, Ready, "")
		if diags := w.e.Load(t.Context()); len(diags) != 0 {
			t.Errorf("%v", diags)
		}
	})
}
