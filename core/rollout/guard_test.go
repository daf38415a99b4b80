package rollout

import (
	"fmt"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// prunePlan is a plan that would prune n of owned objects.
func prunePlan(n, owned int) *Plan {
	p := &Plan{Owner: "shop", Wanted: max(owned-n, 1), Owned: owned, Complete: true}
	for i := range n {
		p.Objects = append(p.Objects, Object{
			Ref:    applier.Ref{Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprintf("c%d", i)},
			Action: applier.Prune,
		})
	}
	return p
}

func TestGuardBudget(t *testing.T) {
	tests := []struct {
		name     string
		n, owned int
		budget   Budget
		recorded string
		ask      bool
	}{
		{name: "nothing", n: 0, owned: 5, budget: DefaultBudget},
		{name: "few of few", n: 4, owned: 5, budget: DefaultBudget},
		{name: "ten of eleven", n: 10, owned: 11, budget: DefaultBudget},
		{name: "eleven of twenty", n: 11, owned: 20, budget: DefaultBudget, ask: true},
		{name: "eleven of a hundred", n: 11, owned: 100, budget: DefaultBudget},
		{name: "exactly a fifth", n: 20, owned: 100, budget: DefaultBudget},
		{name: "just over a fifth", n: 21, owned: 100, budget: DefaultBudget, ask: true},
		{name: "everything, one object", n: 1, owned: 1, budget: DefaultBudget, ask: true},
		{name: "everything, generous budget", n: 3, owned: 3, budget: Budget{Count: 100}, ask: true},
		{name: "count alone, within", n: 5, owned: 6, budget: Budget{Count: 5}},
		{name: "count alone, over", n: 6, owned: 1000, budget: Budget{Count: 5}, ask: true},
		{name: "percentage alone", n: 2, owned: 9, budget: Budget{Percent: 20}, ask: true},
		{name: "zero budget", n: 1, owned: 1000, budget: Budget{}, ask: true},
		{name: "moved", n: 1, owned: 1000, budget: DefaultBudget, recorded: "elsewhere", ask: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := prunePlan(tt.n, tt.owned)
			p.guard(Request{Policy: Policy{Prune: true, Budget: tt.budget}, Recorded: tt.recorded})
			if got := p.Approval != ""; got != tt.ask {
				t.Errorf("asks for approval: %v, want %v (%s)", got, tt.ask, p.Held)
			}
			want := tt.n
			if tt.ask {
				want = 0
			}
			if len(p.Prune) != want {
				t.Errorf("prunes %d, want %d", len(p.Prune), want)
			}
		})
	}
}

func TestGuardApproval(t *testing.T) {
	policy := Policy{Prune: true, Budget: DefaultBudget}
	asked := prunePlan(30, 40)
	asked.guard(Request{Policy: policy})

	approved := prunePlan(30, 40)
	approved.guard(Request{Policy: policy, Approved: asked.Approval})
	if len(approved.Prune) != 30 || approved.Approval != "" {
		t.Errorf("approved plan prunes %d, waits for %q", len(approved.Prune), approved.Approval)
	}

	other := prunePlan(31, 40)
	other.guard(Request{Policy: policy, Approved: asked.Approval})
	if len(other.Prune) != 0 || other.Approval == "" || other.Approval == asked.Approval {
		t.Errorf("an approval of another list: prunes %d, waits for %q", len(other.Prune), other.Approval)
	}
}

func TestGuardApprovalIsOfOneTarget(t *testing.T) {
	policy := Policy{Prune: true, Budget: DefaultBudget}
	asked := prunePlan(30, 40)
	asked.guard(Request{Owner: "shop", Policy: policy, Target: "a", Origin: "git"})
	for name, req := range map[string]Request{
		"another target": {Owner: "shop", Target: "b", Origin: "git"},
		"another origin": {Owner: "shop", Target: "a", Origin: "oci"},
		"another owner":  {Owner: "web", Target: "a", Origin: "git"},
	} {
		p := prunePlan(30, 40)
		req.Policy, req.Approved = policy, asked.Approval
		p.guard(req)
		if len(p.Prune) != 0 || p.Approval == "" {
			t.Errorf("%s: prunes %d with the approval of the first", name, len(p.Prune))
		}
	}
}

func TestGuardNobodyCanApprove(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Plan, *Policy)
	}{
		{"empty load", func(p *Plan, _ *Policy) { p.Wanted = 0 }},
		{"partial load", func(p *Plan, _ *Policy) { p.Complete = false }},
		{"pruning disabled", func(_ *Plan, policy *Policy) { policy.Prune = false }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, policy := prunePlan(2, 40), Policy{Prune: true, Budget: DefaultBudget}
			tt.change(p, &policy)
			req := Request{Policy: policy}
			req.Approved = pruneDigest(req, []applier.Ref{p.Objects[0].Ref, p.Objects[1].Ref})
			p.guard(req)
			if len(p.Prune) != 0 || p.Approval != "" || p.Held == "" {
				t.Errorf("prune %v, approval %q, held %q", p.Prune, p.Approval, p.Held)
			}
			for _, o := range p.Objects {
				if o.Action != applier.Kept || o.Reason == "" {
					t.Errorf("%s: %s because %q", o.Ref, o.Action, o.Reason)
				}
			}
		})
	}
}

func TestOriginWhileObjectsAreKept(t *testing.T) {
	protected := Object{Ref: applier.Ref{Kind: "Namespace", Name: "shop"}, Action: applier.Prune, protected: true}
	kept := Object{Ref: applier.Ref{Kind: "ConfigMap", Name: "unseen"}, Action: applier.Kept, Reason: "forbidden"}
	tests := []struct {
		name     string
		before   string
		leftover Object
		prunes   int // approved, as all after a move
		want     string
	}{
		{name: "kept after a move", before: "old", leftover: kept, want: "old"},
		{name: "kept, and others approved", before: "old", leftover: kept, prunes: 1, want: "old"},
		{name: "kept, at home", before: "new", leftover: kept, prunes: 1, want: "new"},
		{name: "protected after a move", before: "old", leftover: protected, want: "old"},
		{name: "protected, and others approved", before: "old", leftover: protected, prunes: 1, want: "new"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := prunePlan(tt.prunes, 40)
			p.Objects = append(p.Objects, tt.leftover)
			p.origin = tt.before
			req := Request{Policy: Policy{Prune: true, Budget: DefaultBudget}, Origin: "new"}
			p.guard(req)
			if p.Approval != "" {
				again := prunePlan(tt.prunes, 40)
				again.Objects, again.origin = append(again.Objects, tt.leftover), tt.before
				req.Approved = p.Approval
				again.guard(req)
				p = again
			}
			if len(p.Prune) != tt.prunes || p.newOrigin(req) != tt.want {
				t.Errorf("prunes %d, records %q, want %d and %q (%s)", len(p.Prune), p.newOrigin(req), tt.prunes, tt.want, p.Held)
			}
		})
	}
}

func TestGuardProtectedKinds(t *testing.T) {
	protected := func() *Plan {
		p := prunePlan(2, 40)
		p.Objects[0].Ref = applier.Ref{Kind: "Namespace", Name: "shop"}
		p.Objects[0].protected = true
		return p
	}
	p := protected()
	p.guard(Request{Policy: Policy{Prune: true, Budget: DefaultBudget}})
	if len(p.Prune) != 1 || p.Prune[0].Kind != "ConfigMap" || p.Objects[0].Action != applier.Kept {
		t.Errorf("prunes %v, namespace is %s", p.Prune, p.Objects[0].Action)
	}
	p = protected()
	p.guard(Request{Policy: Policy{Prune: true, Budget: DefaultBudget, Kinds: []string{"namespace"}}})
	if len(p.Prune) != 2 {
		t.Errorf("a named kind is not pruned: %v", p.Prune)
	}
}
