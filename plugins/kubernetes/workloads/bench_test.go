package workloads

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// estate serves many Deployments of the size that they have in clusters, most
// of which is managedFields.
type estate struct {
	n    int
	bulk string
}

func (e estate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	if !strings.HasSuffix(r.URL.Path, "/deployments") || from >= e.n {
		_, _ = w.Write([]byte(`{"items":[]}`))
		return
	}
	to := min(from+pageSize, e.n)
	fmt.Fprintf(w, `{"metadata":{"continue":"%d"},"items":[`, to)
	for i := from; i < to; i++ {
		fmt.Fprintf(w, `{"metadata":{"namespace":"n%d","name":"d%05d","labels":{"app":"d"},"annotations":{"sluice.dev/automated":"true"},"managedFields":[%s]},`+
			`"spec":{"replicas":1,"template":{"spec":{"imagePullSecrets":[{"name":"pull"}],"containers":[{"name":"main","image":"registry.example.com/app-%d:1.0.0"}]}}},"status":{"replicas":1}}`, i%50, i, e.bulk, i)
		if i < to-1 {
			_, _ = w.Write([]byte(","))
		}
	}
	_, _ = w.Write([]byte("]}"))
}

// BenchmarkList lists 5,000 Deployments of 8 kB.
func BenchmarkList(b *testing.B) {
	field := `{"manager":"kube-controller-manager","operation":"Update","apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:template":{"f:spec":{"f:containers":{}}}}}}`
	l := lister(b, estate{5000, strings.TrimSuffix(strings.Repeat(field+",", 7500/len(field)), ",")}, nil)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := l.List(b.Context(), applier.WorkloadFilter{}, func(applier.Workload) { n++ }); err != nil || n != 5000 {
			b.Fatalf("%d workloads, %v", n, err)
		}
	}
}
