package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a helm with a chart repository and a cluster in memory. It keeps
// histories as Helm does; values tell what goes wrong:
//
//	fail: N      the first N upgrades to these values fail
//	hang: true   an upgrade lasts until its context ends
//	killed: N    the first N upgrades end with the plugin: nothing is recorded
//	             after "pending"
//	schema: true the chart's schema refuses the values
//	test: fail   the tests fail; "silent": and are not recorded
//	norollback: true   a rollback from these values fails
//	stuck: NAME  an object that cannot be corrected
//
// Every other value becomes an object of the release, of that name.
type world struct {
	t *testing.T

	mu       sync.Mutex
	charts   map[string]helm.Chart // by version
	releases map[helm.ReleaseRef][]stored
	live     map[helm.ReleaseRef]map[string]string
	tried    map[string]int // upgrades, by digest
	down     error
	killed   int // rollbacks and uninstalls to end with the plugin
	calls    map[string]int
}

type stored struct {
	helm.Revision
	values map[string]any
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, charts: map[string]helm.Chart{}, releases: map[helm.ReleaseRef][]stored{}, live: map[helm.ReleaseRef]map[string]string{}, tried: map[string]int{}, calls: map[string]int{}}
	w.publish("1.0.0", "first")
	return w
}

// publish puts a version of the chart into the repository.
func (w *world) publish(version, content string) {
	w.charts[version] = helm.Chart{Version: version, Digest: "sha256:" + short([]byte(content), 20)}
}

// call begins a method.
func (w *world) call(ctx context.Context, name string) (func(), error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.calls[name]++
	if w.down != nil {
		w.mu.Unlock()
		return nil, w.down
	}
	return w.mu.Unlock, nil
}

func (w *world) Resolve(ctx context.Context, ref helm.ChartRef) (helm.Chart, error) {
	done, err := w.call(ctx, "Resolve")
	if err != nil {
		return helm.Chart{}, err
	}
	defer done()
	version := ref.Version
	if ref.Tree != "" {
		text, err := os.ReadFile(filepath.Join(ref.Tree, ref.Path, "Chart.yaml"))
		if err != nil {
			return helm.Chart{}, sdk.Permanent(fmt.Errorf("there is no chart in %q", ref.Path))
		}
		return helm.Chart{Ref: ref, Version: "0.1.0", Digest: "sha256:" + short(text, 20)}, nil
	}
	if c, ok := w.charts[version]; ok {
		c.Ref = ref
		return c, nil
	}
	if version != "" && version != "*" {
		return helm.Chart{}, sdk.Permanent(fmt.Errorf("there is no version %s", version))
	}
	newest := slices.Max(slices.Collect(maps.Keys(w.charts)))
	c := w.charts[newest]
	c.Ref = ref
	return c, nil
}

func (w *world) Pull(ctx context.Context, c helm.Chart, dir string) error {
	done, err := w.call(ctx, "Pull")
	if err != nil {
		return err
	}
	defer done()
	if c.Ref.Tree == "" && w.charts[c.Version].Digest != c.Digest {
		return errors.New("the digest is not the one that was resolved")
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "Chart.yaml"), fmt.Appendf(nil, "name: ghost\nversion: %s\nappVersion: 5.1\ndigest: %s\n", c.Version, c.Digest), 0o600),
		os.WriteFile(filepath.Join(dir, "values-prod.yaml"), []byte("colour: red\nbad: [\n"[:12]), 0o600))
}

func (w *world) Template(ctx context.Context, r helm.Release, out string) (helm.Rendered, error) {
	done, err := w.call(ctx, "Template")
	if err != nil {
		return helm.Rendered{}, err
	}
	defer done()
	var lines []byte
	for name, value := range objectsOf(valuesOf(r.Values)) {
		line, _ := json.Marshal(map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": map[string]any{"value": value}, "number": 3})
		lines = append(append(lines, line...), '\n')
	}
	return helm.Rendered{}, os.WriteFile(out, lines, 0o600)
}

func (w *world) Plan(ctx context.Context, r helm.Release, emit func(helm.Change)) (helm.Rendered, error) {
	done, err := w.call(ctx, "Plan")
	if err != nil {
		return helm.Rendered{}, err
	}
	defer done()
	v := valuesOf(r.Values)
	if err := schema(v); err != nil {
		return helm.Rendered{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(objectsOf(v))) {
		if w.live[r.Ref][name] == "" {
			change := helm.Change{Kind: "ConfigMap", Namespace: r.Ref.Namespace, Name: name, Action: "create"}
			if v["refused"] == name {
				change.Problem = "data: must not be so"
			}
			emit(change)
		}
	}
	return helm.Rendered{Notes: "Have fun."}, nil
}

func valuesOf(s secret.Secret) map[string]any {
	v := map[string]any{}
	if err := json.Unmarshal([]byte(s.Reveal()), &v); err != nil {
		panic(err)
	}
	return v
}

// objectsOf are the values that are no behaviour.
func objectsOf(v map[string]any) map[string]string {
	objects := map[string]string{"always": "there"}
	for name, value := range v {
		switch name {
		case "fail", "hang", "killed", "schema", "test", "norollback", "stuck", "refused":
		default:
			objects[name] = fmt.Sprint(value)
		}
	}
	return objects
}

func schema(v map[string]any) error {
	if v["schema"] == true {
		return diag.List{diag.Errorf(diag.Attr("values", "schema"), "must not be true")}.Err()
	}
	return nil
}

func number(v map[string]any, key string) int {
	n, _ := v[key].(float64)
	return int(n)
}

// newest is the last revision of a history.
func (w *world) newest(ref helm.ReleaseRef) *stored {
	if all := w.releases[ref]; len(all) > 0 {
		return &all[len(all)-1]
	}
	return &stored{}
}

func (w *world) add(ref helm.ReleaseRef, status string, s stored) *stored {
	s.Number, s.Status, s.Updated, s.Tests, s.Message = w.newest(ref).Number+1, status, time.Now().UTC(), "", ""
	w.releases[ref] = append(w.releases[ref], s)
	return w.newest(ref)
}

// settle makes the newest revision deployed.
func (w *world) settle(ref helm.ReleaseRef) helm.Revision {
	all := w.releases[ref]
	for i := range all {
		if all[i].Status == deployed {
			all[i].Status = superseded
		}
	}
	s := w.newest(ref)
	s.Status, s.Message = deployed, "complete"
	w.live[ref] = objectsOf(s.values)
	return s.Revision
}

// chartName is the name-version of a pulled chart.
func chartName(dir string) string {
	text, _ := os.ReadFile(filepath.Join(dir, "Chart.yaml"))
	_, rest, _ := strings.Cut(string(text), "version: ")
	version, _, _ := strings.Cut(rest, "\n")
	return "ghost-" + version
}

var errKilled = errors.New("the plugin was killed")

func (w *world) Upgrade(ctx context.Context, r helm.Release, emit func(helm.Event)) (helm.Revision, error) {
	done, err := w.call(ctx, "Upgrade")
	if err != nil {
		return helm.Revision{}, err
	}
	if _, err := os.Stat(filepath.Join(r.Chart, "Chart.yaml")); err != nil {
		done()
		return helm.Revision{}, err
	}
	defer done()
	v, last := valuesOf(r.Values), w.newest(r.Ref)
	switch {
	case schema(v) != nil:
		return helm.Revision{}, schema(v)
	case isLocked(last.Status):
		return helm.Revision{}, helm.ErrLocked
	case exists(last.Revision) && last.Owner != r.Owner && !r.Adopt:
		return helm.Revision{}, sdk.Permanent(helm.ErrOwned)
	}
	status := "pending-upgrade"
	if !exists(last.Revision) {
		status = "pending-install"
	}
	made := w.add(r.Ref, status, stored{Revision: helm.Revision{Owner: r.Owner, Digest: r.Digest, Chart: chartName(r.Chart), AppVersion: "5"}, values: v})
	emit(helm.Event{Message: "creating"})
	w.tried[r.Digest]++
	switch tried := w.tried[r.Digest]; {
	case tried <= number(v, "killed"):
		return helm.Revision{}, errKilled
	case v["hang"] == true:
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		w.newest(r.Ref).Status = failed
		return helm.Revision{}, context.Cause(ctx)
	case tried <= number(v, "fail"):
		made.Status, made.Message = failed, "the pod crashed"
		return helm.Revision{}, errors.New("the pod crashed")
	}
	return w.settle(r.Ref), nil
}

func (w *world) Rollback(ctx context.Context, r helm.Rollback, emit func(helm.Event)) (helm.Revision, error) {
	done, err := w.call(ctx, "Rollback")
	if err != nil {
		return helm.Revision{}, err
	}
	defer done()
	last := *w.newest(r.Ref)
	if isLocked(last.Status) {
		return helm.Revision{}, helm.ErrLocked
	}
	i := slices.IndexFunc(w.releases[r.Ref], func(s stored) bool { return s.Number == r.To })
	if i < 0 {
		return helm.Revision{}, sdk.Permanent(helm.ErrNotFound)
	}
	to := w.releases[r.Ref][i]
	to.Owner, to.Digest = last.Owner, ""
	made := w.add(r.Ref, "pending-rollback", to)
	if w.killed > 0 {
		w.killed--
		return helm.Revision{}, errKilled
	}
	if last.values["norollback"] == true {
		made.Status, made.Message = failed, "cannot go back"
		return helm.Revision{}, errors.New("cannot go back")
	}
	return w.settle(r.Ref), nil
}

func (w *world) Uninstall(ctx context.Context, u helm.Uninstall, emit func(helm.Event)) error {
	done, err := w.call(ctx, "Uninstall")
	if err != nil {
		return err
	}
	defer done()
	last := w.newest(u.Ref)
	switch {
	case last.Number == 0:
		return nil
	case u.Owner != "" && last.Owner != u.Owner:
		return sdk.Permanent(helm.ErrOwned)
	}
	last.Status, last.Updated = uninstalling, time.Now()
	if w.killed > 0 {
		w.killed--
		return errKilled
	}
	last.Status = uninstalled
	delete(w.live, u.Ref)
	if !u.KeepHistory {
		delete(w.releases, u.Ref)
	}
	return nil
}

func (w *world) Test(ctx context.Context, t helm.Test, emit func(helm.Event)) error {
	done, err := w.call(ctx, "Test")
	if err != nil {
		return err
	}
	defer done()
	last := w.newest(t.Ref)
	switch last.values["test"] {
	case "fail":
		last.Tests = failed
		return errors.New("the test pod failed")
	case "silent":
		return errors.New("the test did not end")
	}
	last.Tests = "passed"
	return nil
}

func (w *world) History(ctx context.Context, ref helm.ReleaseRef, emit func(helm.Revision)) error {
	done, err := w.call(ctx, "History")
	if err != nil {
		return err
	}
	defer done()
	for _, s := range slices.Backward(w.releases[ref]) {
		emit(s.Revision)
	}
	return nil
}

func (w *world) Status(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	done, err := w.call(ctx, "Status")
	if err != nil {
		return helm.Revision{}, err
	}
	defer done()
	return w.newest(ref).Revision, nil
}

func (w *world) Unlock(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	done, err := w.call(ctx, "Unlock")
	if err != nil {
		return helm.Revision{}, err
	}
	defer done()
	if last := w.newest(ref); isLocked(last.Status) {
		last.Status, last.Message = failed, "interrupted while "+last.Status
	}
	return w.newest(ref).Revision, nil
}

func (w *world) List(ctx context.Context, namespace string, emit func(helm.ReleaseRef, helm.Revision)) error {
	done, err := w.call(ctx, "List")
	if err != nil {
		return err
	}
	defer done()
	for ref := range w.releases {
		s := w.newest(ref)
		emit(ref, helm.Revision{Number: s.Number, Status: s.Status, Updated: s.Updated, Owner: s.Owner, Digest: s.Digest})
	}
	return nil
}

func (w *world) Compare(ctx context.Context, c helm.Comparison, emit func(helm.Change)) error {
	done, err := w.call(ctx, "Compare")
	if err != nil {
		return err
	}
	defer done()
	if c.Fresh {
		w.calls["Compare, fresh"]++
	}
	last := w.newest(c.Ref)
	if last.Status != deployed {
		return errors.New("there is nothing to compare with")
	}
	for name, value := range objectsOf(last.values) {
		if w.live[c.Ref][name] == value {
			continue
		}
		change := helm.Change{Kind: "ConfigMap", Namespace: c.Ref.Namespace, Name: name, Action: "update"}
		switch {
		case last.values["stuck"] == name && c.Correct:
			change.Problem = "the API server refuses it"
		case c.Correct:
			w.live[c.Ref][name] = value
		}
		emit(change)
	}
	return nil
}

// rig is a runner on a world.
type rig struct {
	*world
	runner *Runner
	host   Host
	spec   Spec
	rec    Record
	phases []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	w := newWorld(t)
	runner, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := runner.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{
		world: w, runner: runner,
		host: Host{Name: "helm.helm.prod", Helm: w, Observer: NewObserver(w, ObserverOptions{})},
		spec: Spec{Owner: mine, Ref: ghost, Chart: Chart{Repository: "https://charts.example.com", Name: "ghost", Version: "1.0.0"}},
	}
}

// values sets the inline values.
func (g *rig) values(text string) { g.spec.Values = secret.New(text) }

// run runs the release and keeps the record, through JSON as the daemon does.
func (g *rig) run(ctx context.Context) Report {
	g.t.Helper()
	g.phases = nil
	rep, rec := g.runner.Run(ctx, g.spec, g.host, g.rec, func(p Progress) {
		if p.Phase != "" {
			g.phases = append(g.phases, string(p.Phase))
		}
	})
	g.rec = throughJSON(g.t, rec)
	throughJSON(g.t, rep)
	return rep
}

func throughJSON[T any](t *testing.T, v T) (back T) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &back)
	}
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// summary of a report: its state, the steps, and what is wrong.
func summary(rep Report) string {
	var b strings.Builder
	b.WriteString(string(rep.State) + ":")
	for _, s := range rep.Steps {
		b.WriteString(" " + string(s.Action))
		if s.Error != "" {
			b.WriteString("(" + s.Error + ")")
		}
	}
	if rep.Err != nil {
		b.WriteString(" | " + rep.Error)
	}
	return b.String()
}

// history of the release, oldest first.
func (g *rig) history() string {
	var list []string
	for _, s := range g.releases[g.spec.Ref] {
		list = append(list, s.Status)
	}
	return strings.Join(list, " ")
}

// expect runs and checks the beginning of the summary, and the history.
func (g *rig) expect(want, history string) Report {
	g.t.Helper()
	rep := g.run(g.t.Context())
	if got := summary(rep); !strings.HasPrefix(got, want) {
		g.t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := g.history(); got != history {
		g.t.Errorf("history %q, want %q", got, history)
	}
	return rep
}

// later lets time pass until the next run is due.
func later(rep Report) { time.Sleep(time.Until(rep.Again)) }
