package sdktest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/conformance"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// bad is an applier that breaks one rule, the one that fault names.
type bad struct {
	*target
	fault string
	stuck chan struct{}   // calls that hang wait for its end
	known map[string]bool // owners that this instance has applied something for
}

// Each fault must be found by the check that is there for it, and each check
// must find a fault.
var applierFaults = []struct{ fault, check string }{
	{"claims what it never applied", "applier-plans-nothing-for-nothing"},
	{"takes a missing file for an empty one", "applier-refuses-missing-objects-file"},
	{"reads lines of up to 64 KiB", "applier-reads-long-lines"},
	{"applies in Plan", "applier-plan-changes-nothing"},
	{"updates what is equal", "applier-applies-once"},
	{"leaves one out of Status", "applier-tells-status"},
	{"never completes the first pass", "applier-watches"},
	{"plans to prune after an incomplete load", "applier-keeps-after-incomplete-load"},
	{"prunes in Plan", "applier-keeps-after-incomplete-load"},
	{"prunes in Apply", "applier-apply-deletes-nothing"},
	{"applies what is ignored", "applier-leaves-ignored-alone"},
	{"prunes what is ignored", "applier-leaves-ignored-alone"},
	{"takes over from other owners", "applier-refuses-another-owners"},
	{"deletes for anybody", "applier-deletes-only-its-own"},
	{"deletes all that the owner has", "applier-deletes-only-what-is-named"},
	{"says deleted and keeps", "applier-deletes"},
	{"forgets its owners", "applier-remembers-across-restarts"},
	{"records no origin", "applier-records-origins"},
	{"plans on when cancelled", "applier-returns-when-cancelled"},
	{"has an empty secret for everything", "applier-says-when-there-is-no-secret"},
	{"lists everybody's workloads", "applier-lists-workloads"},
	{"lists workloads of every namespace", "applier-lists-workloads"},
	{"leaves a workload out of the list of all", "applier-lists-workloads"},
	{"lists a workload twice", "applier-lists-workloads"},
	{"lists workloads in any order", "applier-lists-workloads"},
	{"lists a workload without a name", "applier-lists-workloads"},
	{"lists a container without a name", "applier-lists-workloads"},
	{"lists a pull secret twice", "applier-lists-workloads"},
	{"makes up a phase", "applier-lists-workloads"},
	{"does not say whose a workload is", "applier-lists-workloads"},
	{"marks whom it does not know", "applier-marks-its-owners"},
	{"leaves one out of the first pass", "applier-follows-resources"},
	{"keeps quiet about a kind that is not served", "applier-follows-resources"},
	{"ignores finalizers", "applier-heeds-finalizers"},
	{"changes what has the name", "applier-changes-only-what-is-meant"},
	{"tells nothing twice", "applier-tells-resources"},
	{"has an empty configuration for everything", "applier-says-when-there-is-no-config"},
	{"finds what is not there", "applier-inspects-objects"},
}

func TestSuiteFindsApplierFaults(t *testing.T) {
	for _, tc := range applierFaults {
		t.Run(tc.fault, func(t *testing.T) {
			cluster, stuck := newTarget(), make(chan struct{})
			open := func(context.Context, struct{}, sdk.Env) (*bad, error) {
				return &bad{cluster, tc.fault, stuck, map[string]bool{}}, nil
			}
			p := sdk.Plugin{Name: "bad", Version: "1.0.0", Kinds: []sdk.Kind{applier.New("bad", open)}}
			s := &conformance.Subject{Kind: client.KindApplier, Type: "bad", Objects: samples()}
			failed := sdktest.FailedChecks(t, p, s, tc.check)
			close(stuck)
			if !slices.Contains(failed, tc.check) {
				t.Errorf("%s does not find it", tc.check)
			}
			_ = s.Close() // the fault may be in closing
		})
	}
}

// A check that finds no planted fault is not known to find anything.
func TestEachApplierCheckFindsAFault(t *testing.T) {
	shared := map[string]bool{}
	for _, c := range conformance.Checks(client.KindHelm) { // has only those that all kinds share
		shared[c.Name] = true
	}
	for _, c := range conformance.Checks(client.KindApplier) {
		found := slices.ContainsFunc(applierFaults, func(f struct{ fault, check string }) bool { return f.check == c.Name })
		if !shared[c.Name] && !found {
			t.Errorf("no fault is planted for the check %s", c.Name)
		}
	}
}

func (b *bad) Plan(ctx context.Context, set applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	switch b.fault {
	case "takes a missing file for an empty one":
		set.Objects = existing(set.Objects)
	case "reads lines of up to 64 KiB":
		set.Objects = shortLines(set.Objects)
	case "plans to prune after an incomplete load":
		set.Complete = true
	case "plans on when cancelled":
		<-b.stuck
	case "forgets its owners":
		if !b.known[set.Owner] {
			set.Owner = "nobody"
		}
	}
	summary, err := b.target.Plan(ctx, set, func(c applier.Change) {
		switch {
		case b.fault == "takes over from other owners" && c.Action == applier.Refused:
			c.Action, c.Diagnostic = applier.Update, nil
		case b.fault == "prunes in Plan" && c.Action == applier.Kept:
			defer b.steal(c.Ref)
		}
		emit(c)
	})
	switch b.fault {
	case "claims what it never applied":
		summary.Owned++
	case "records no origin":
		summary.Origin = ""
	case "applies in Plan":
		_, _ = b.target.Apply(ctx, set, func(applier.Result) {})
	}
	return summary, err
}

// steal takes an object away while a method of the target holds its lock.
func (b *bad) steal(ref applier.Ref) { delete(b.objects, ref) }

func existing(path string) string {
	if _, err := os.Stat(path); err != nil {
		return os.DevNull
	}
	return path
}

// shortLines writes a file with what a careless reader finds in that of path.
func shortLines(path string) string {
	data, _ := os.ReadFile(path)
	var found []byte
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); { // gives up silently
		found = append(append(found, lines.Bytes()...), '\n')
	}
	_ = os.WriteFile(path+".short", found, 0o600)
	return path + ".short"
}

func (b *bad) Apply(ctx context.Context, set applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	b.known[set.Owner] = true
	switch b.fault {
	case "takes a missing file for an empty one":
		set.Objects = existing(set.Objects)
	case "takes over from other owners":
		set.Adopt = true
	case "prunes in Apply":
		b.prune(set)
	}
	return b.target.Apply(ctx, set, func(r applier.Result) {
		switch {
		case b.fault == "updates what is equal" && r.Outcome == applier.Unchanged:
			r.Outcome = applier.Updated
		case b.fault == "applies what is ignored" && r.Outcome == applier.Skipped:
			b.objects[r.Ref] = stored{owner: set.Owner}
		case b.fault == "prunes what is ignored" && r.Outcome == applier.Skipped:
			b.steal(r.Ref)
		}
		emit(r)
	})
}

// prune deletes what the owner has and set no longer holds.
func (b *bad) prune(set applier.Set) {
	items, err := load(set)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ref := range b.owned(set.Owner) {
		if _, wanted := items[ref]; !wanted {
			b.steal(ref)
		}
	}
}

func (b *bad) Delete(ctx context.Context, del applier.Deletion, emit func(applier.Result)) (applier.Summary, error) {
	switch b.fault {
	case "deletes for anybody":
		b.mu.Lock()
		for _, ref := range del.Refs {
			b.objects[ref] = stored{owner: del.Owner}
		}
		b.mu.Unlock()
	case "deletes all that the owner has":
		b.mu.Lock()
		del.Refs = b.owned(del.Owner)
		b.mu.Unlock()
	case "says deleted and keeps":
		for _, ref := range del.Refs {
			emit(applier.Result{Ref: ref, Outcome: applier.Deleted})
		}
		return applier.Summary{}, nil
	}
	return b.target.Delete(ctx, del, emit)
}

func (b *bad) Status(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	first := true
	return b.target.Status(ctx, owner, func(o applier.ObjectStatus) {
		if b.fault != "leaves one out of Status" || !first {
			emit(o)
		}
		first = false
	})
}

func (b *bad) Watch(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	if b.fault == "never completes the first pass" {
		return b.Status(ctx, owner, emit)
	}
	return b.target.Watch(ctx, owner, emit)
}

func (b *bad) Workloads(ctx context.Context, f applier.WorkloadFilter, emit func(applier.Workload)) error {
	asked := f
	switch b.fault {
	case "lists everybody's workloads":
		f.Owner = ""
	case "lists workloads of every namespace":
		f.Namespace = ""
	}
	var list []applier.Workload
	if err := b.target.Workloads(ctx, f, func(w applier.Workload) { list = append(list, w) }); err != nil || len(list) == 0 {
		return err
	}
	switch w := &list[0]; b.fault {
	case "leaves a workload out of the list of all":
		if asked.Namespace == "" && asked.Owner == "" {
			list = list[1:]
		}
	case "lists a workload twice":
		list = append(list, *w)
	case "lists workloads in any order":
		slices.Reverse(list)
	case "lists a workload without a name":
		w.Ref.Name = ""
	case "lists a container without a name":
		w.Containers[0].Name = ""
	case "lists a pull secret twice":
		w.PullSecrets = append(w.PullSecrets, w.PullSecrets...)
	case "makes up a phase":
		w.Rollout.Phase = "done"
	case "does not say whose a workload is":
		w.Owner = ""
	}
	for _, w := range list {
		emit(w)
	}
	return nil
}

func (b *bad) ReadSecret(ctx context.Context, ref applier.SecretRef) (secret.Secret, error) {
	if b.fault == "has an empty secret for everything" {
		return secret.Secret{}, nil
	}
	return b.target.ReadSecret(ctx, ref)
}

func (b *bad) Mark(ctx context.Context, owner, name, value string) error {
	if b.fault == "marks whom it does not know" {
		return nil
	}
	return b.target.Mark(ctx, owner, name, value)
}

func (b *bad) Follow(ctx context.Context, f applier.ResourceFilter, emit func(applier.Resource)) error {
	first := true
	return b.target.Follow(ctx, f, func(r applier.Resource) {
		quiet := b.fault == "keeps quiet about a kind that is not served" && r.Ref.Name == "" && r.Deleted
		leftOut := b.fault == "leaves one out of the first pass" && first
		if first = false; !quiet && !leftOut {
			emit(r)
		}
	})
}

func (b *bad) PatchResource(ctx context.Context, p applier.ResourcePatch) (applier.Resource, error) {
	switch b.fault {
	case "ignores finalizers":
		p.AddFinalizer = ""
	case "changes what has the name":
		b.mu.Lock()
		p.UID = b.keep(p.Ref).uid
		b.mu.Unlock()
	}
	return b.target.PatchResource(ctx, p)
}

func (b *bad) TellResource(ctx context.Context, e applier.ResourceEvent) error {
	if err := b.target.TellResource(ctx, e); err != nil || b.fault != "tells nothing twice" {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told[e] > 1 {
		return errors.New("there is such an event already")
	}
	return nil
}

func (b *bad) ReadConfig(ctx context.Context, ref applier.ConfigRef) (string, error) {
	if b.fault == "has an empty configuration for everything" {
		return "", nil
	}
	return b.target.ReadConfig(ctx, ref)
}

func (b *bad) Inspect(ctx context.Context, q applier.Inquiry) (applier.Inspected, error) {
	found, err := b.target.Inspect(ctx, q)
	if b.fault == "finds what is not there" {
		return found, nil
	}
	return found, err
}
