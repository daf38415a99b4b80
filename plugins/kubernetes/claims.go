package main

import (
	"fmt"
	"sync"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/desired"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// claims keeps two applies that run at the same time from taking the same
// object, before the cluster can tell whose it is. A claim is made before the
// cluster is read, and ends with the apply.
type claims struct {
	mu    sync.Mutex
	owner map[applier.Ref]string
}

func newClaims() *claims { return &claims{owner: map[applier.Ref]string{}} }

// take claims objects for owner. One that somebody else has claimed gets a
// Problem. The returned function ends the claims.
func (c *claims) take(owner string, objects []desired.Object) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var taken []applier.Ref
	for i := range objects {
		obj := &objects[i]
		if obj.Problem != nil || obj.Ignored != "" {
			continue
		}
		ref := obj.Ref.Identity()
		if other, claimed := c.owner[ref]; claimed && other != owner {
			obj.Problem = &diag.Diagnostic{
				Summary: fmt.Sprintf("%s is being applied by %q, and %q wants it too", obj.Ref, other, owner),
				Detail:  "Remove it from one of the two.",
				Subject: &diag.Range{File: obj.File, Start: diag.Pos{Line: obj.Line}},
			}
			continue
		}
		c.owner[ref] = owner
		taken = append(taken, ref)
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, ref := range taken {
			delete(c.owner, ref)
		}
	}
}
