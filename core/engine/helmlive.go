package engine

import (
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// showLive shows the newest revision of a declared release as its cluster tells
// it now. Where the last look was at another one, somebody has been at work since:
// r says so, and no more of how the release stands.
func (e *Engine) showLive(r *HelmRelease, now helm.Revision) {
	if r.differs(now) { // a run may have ended while the cluster was asked
		e.mu.Lock()
		if n := e.nodes[r.ID]; n != nil && n.release != nil {
			*r = e.helmRelease(n)
		}
		e.mu.Unlock()
	}
	if r.differs(now) {
		r.doubt(now)
	}
	r.showRevision(now)
}

// showFormer shows a release that the declaration has moved away from: the last
// look was at another one.
func (r *HelmRelease) showFormer(ref helm.ReleaseRef, now helm.Revision) {
	r.Namespace, r.Name, r.Release = ref.Namespace, ref.Name, ""
	r.Chart, r.ChartVersion, r.AppVersion = now.Chart, "", now.AppVersion
	r.ChartDigest, r.ChartFrom = "", ""
	r.showRevision(now)
}

// differs reports whether the last look was at another revision than now. While a
// run goes on, it is not told yet.
func (r *HelmRelease) differs(now helm.Revision) bool {
	if r.Release == "" || r.Release == release.Unknown || r.State == Running {
		return false
	}
	seen := helm.Revision{Number: r.Revision, Status: r.Status}
	return installedNumber(seen) != installedNumber(now) || installedNumber(now) > 0 && seen.Status != now.Status
}

// installedNumber is zero also where only a history is left.
func installedNumber(r helm.Revision) int {
	if r.Status == "uninstalled" {
		return 0
	}
	return r.Number
}

// doubt says that the release is another one than at the last look.
func (r *HelmRelease) doubt(now helm.Revision) {
	text := fmt.Sprintf("Revision %d is %s: that is not what the last look saw, which was ", now.Number, now.Status)
	if installedNumber(now) == 0 {
		text = "It is not installed any more. The last look saw "
	}
	if seen := (helm.Revision{Number: r.Revision, Status: r.Status}); installedNumber(seen) == 0 {
		text += "no release."
	} else {
		text += fmt.Sprintf("revision %d, %s.", seen.Number, seen.Status)
	}
	r.Release = release.Unknown
	if r.State != Ready {
		r.Reason = strings.TrimSuffix(r.Reason, ".") + ". " + text
		return
	}
	r.Reason, r.Unblock = text, "the next look, or: sluice sync "+quoted(r.ID)
}
