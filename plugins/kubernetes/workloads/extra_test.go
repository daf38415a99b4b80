package workloads

import (
	"bytes"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// zoo serves a kind without namespaces, one with, and a group whose server
// does not answer.
type zoo struct{ discoveries atomic.Int64 }

func (z *zoo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/apis" {
		z.discoveries.Add(1)
	}
	switch {
	case r.URL.Path == "/api" || r.URL.Path == "/apis":
		w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		const resource = `{"resource":%q,"scope":%q,"responseKind":{"kind":%q},"verbs":["list","patch"]}`
		fmt.Fprintf(w, `{"items":[{"metadata":{"name":"zoo"},"versions":[{"version":"v2","resources":[`+resource+`,`+resource+`]},{"version":"v1","resources":[]}]},`+
			`{"metadata":{"name":"away"},"versions":[{"version":"v1","freshness":"Stale"}]}]}`,
			"cages", "Namespaced", "Cage", "keepers", "Cluster", "Keeper")
	case path.Base(r.URL.Path) == "keepers":
		fmt.Fprint(w, `{"items":[{"metadata":{"name":"ann","managedFields":[{}]},"spec":{"n":1},"status":{"observedGeneration":1}}]}`)
	case path.Base(r.URL.Path) == "cages":
		fmt.Fprint(w, `{"items":[{"metadata":{"name":"of-a-job","namespace":"n","ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"j","controller":true}]}},`+
			`{"metadata":{"name":"new","namespace":"n","generation":2,"annotations":null},"status":{"observedGeneration":1}}]}`)
	default:
		fmt.Fprint(w, `{"items":null}`)
	}
}

func TestExtraKinds(t *testing.T) {
	var log bytes.Buffer
	z := &zoo{}
	l := lister(t, z, hclog.New(&hclog.LoggerOptions{Output: &log}))
	kinds := []applier.Kind{{Group: "zoo", Kind: "Cage"}, {Group: "zoo", Kind: "Keeper"}, {Group: "away", Kind: "Lion"}, {Group: "no", Kind: "Such"}}
	list := func(filter applier.WorkloadFilter) (names []string, all []applier.Workload) {
		t.Helper()
		filter.Kinds = kinds
		if err := l.List(t.Context(), filter, func(w applier.Workload) { all, names = append(all, w), append(names, w.Ref.String()) }); err != nil {
			t.Fatal(err)
		}
		return names, all
	}
	names, all := list(applier.WorkloadFilter{})
	if diff := cmp.Diff([]string{"Keeper.zoo/ann", "n:Cage.zoo/new"}, names); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	const ann = `{"apiVersion":"zoo/v2","kind":"Keeper","metadata":{"name":"ann"},"spec":{"n":1}}`
	if got := strings.TrimSpace(string(all[0].Object)); got != ann || all[0].ServiceAccount != "" || all[0].Rollout.Phase != applier.RolloutReady {
		t.Errorf("%s, as %+v; want %s", got, all[0], ann)
	}
	if all[1].ServiceAccount != "default" || all[1].Rollout.Phase != applier.RolloutStarted {
		t.Errorf("one that its controller has not seen: %+v", all[1])
	}
	if names, _ := list(applier.WorkloadFilter{Namespace: "n"}); len(names) != 1 {
		t.Errorf("in a namespace: %v", names)
	}
	if n := z.discoveries.Load(); n != 2 {
		t.Errorf("the API server was asked %d times what it serves; want once at first, and once for what is missing", n)
	}
	if n := strings.Count(log.String(), "cannot list Lion.away"); n != 1 {
		t.Errorf("%d times in the log that a server does not answer:\n%s", n, log.String())
	}
}
