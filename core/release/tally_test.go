package release_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/release"
)

func TestTally(t *testing.T) {
	var tally release.Tally
	tally.Run(release.Report{Steps: []release.Step{
		{Action: release.ActUnlock}, {Action: release.ActAdopt}, {Action: release.ActUpgrade}, {Action: release.ActMove, Error: "no"}, {Action: release.ActWait},
	}})
	before := tally.Counts()
	tally.Add("uninstall", true)
	tally.Add("uninstall", false)
	want := map[release.Count]uint64{{Kind: "unlock", Result: "ok"}: 1, {Kind: "upgrade", Result: "ok"}: 2, {Kind: "uninstall", Result: "failed"}: 1}
	if diff := cmp.Diff(want, before); diff != "" {
		t.Error(diff)
	}
	want[release.Count{Kind: "uninstall", Result: "failed"}], want[release.Count{Kind: "uninstall", Result: "ok"}] = 2, 1
	if diff := cmp.Diff(want, tally.Counts()); diff != "" {
		t.Error(diff)
	}
}
