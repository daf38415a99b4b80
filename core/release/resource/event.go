package resource

import (
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// EventOf is what a run that ended with rep tells about the resource: nothing
// (ok is false) if it changed nothing and is well.
func (r Resource) EventOf(rep release.Report) (ev applier.ResourceEvent, ok bool) {
	return applier.ResourceEvent{}, false
}
