package e2e

import (
	"context"
	"encoding/json"
	"os/exec"
)

// helmProcess is a helm command that a test stops half way.
func (w *world) helmProcess(namespace string, args ...string) *exec.Cmd {
	w.t.Helper()
	binary, err := helmCommand()
	if err != nil {
		w.t.Fatal(err)
	}
	return w.command(context.Background(), binary, append(args, "--namespace", namespace)...)
}

// helmRevision is one of `helm history -o json`.
type helmRevision struct {
	Revision    int
	Status      string
	Chart       string
	Description string
}

// history is what the helm command says of a release; nil if there is none.
func (w *world) history(namespace, release string) (revisions []helmRevision) {
	w.t.Helper()
	o := w.tryHelm(namespace, "history", release, "--output", "json")
	if o.code != 0 {
		return nil
	}
	if err := json.Unmarshal([]byte(o.out), &revisions); err != nil {
		w.t.Fatalf("helm history: %v\n%s", err, o.out)
	}
	return revisions
}

// deployed returns the number of a release's newest revision if helm says that
// it is deployed, and 0 otherwise.
func (w *world) deployed(namespace, release string) int {
	w.t.Helper()
	all := w.history(namespace, release)
	if len(all) == 0 || all[len(all)-1].Status != "deployed" {
		return 0
	}
	return all[len(all)-1].Revision
}

// oneChain checks that the revisions of a release follow one another, and that
// no more than the last of them is deployed or under way.
func (w *world) oneChain(namespace, release string) {
	w.t.Helper()
	all := w.history(namespace, release)
	for i, r := range all {
		if i > 0 && r.Revision != all[i-1].Revision+1 {
			w.t.Errorf("the revisions of %s do not follow one another: %+v", release, all)
		}
		if i < len(all)-1 && r.Status != "superseded" && r.Status != "failed" {
			w.t.Errorf("revision %d of %s is %s, under a newer one: %+v", r.Revision, release, r.Status, all)
		}
	}
	if len(all) == 0 || all[len(all)-1].Status != "deployed" {
		w.t.Errorf("%s is not deployed: %+v", release, all)
	}
}
