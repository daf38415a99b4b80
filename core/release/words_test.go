package release

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// instanceError is what a plugin's host makes of what an instance says.
type instanceError struct{ err error }

func (e *instanceError) Error() string {
	return `helm/helm "c" (plugin helm 1.2.3): ` + e.err.Error()
}
func (e *instanceError) Unwrap() error  { return e.err }
func (e *instanceError) Unnamed() error { return e.err }

// babbler is a world that says everything it knows, in several lines, in
// everything it says.
type babbler struct {
	*world
	text string
}

func (b babbler) err() error { return &instanceError{errors.New("bad\n  values:\n" + b.text)} }

func (b babbler) Upgrade(ctx context.Context, r helm.Release, emit func(helm.Event)) (helm.Revision, error) {
	emit(helm.Event{Message: "rendering " + b.text})
	b.add(r.Ref, failed, stored{Revision: helm.Revision{Owner: r.Owner, Digest: r.Digest, Chart: "ghost-1"}})
	b.newest(r.Ref).Message = "failed: " + b.text
	return helm.Revision{}, b.err()
}

func (b babbler) Plan(_ context.Context, r helm.Release, emit func(helm.Change)) (helm.Rendered, error) {
	emit(helm.Change{Kind: "ConfigMap", Name: "a", Action: "create", Diff: "+dsn: " + b.text, Problem: b.text})
	return helm.Rendered{Notes: "Your password is " + b.text}, diag.List{diag.Errorf(diag.Attr("values", "dsn"), "not %s", b.text)}.Err()
}

func (b babbler) Compare(_ context.Context, c helm.Comparison, emit func(helm.Change)) error {
	emit(helm.Change{Kind: "ConfigMap", Name: "a", Action: "update", Diff: b.text, Problem: b.text})
	return nil
}

func (b babbler) Template(context.Context, helm.Release, string) (helm.Rendered, error) {
	return helm.Rendered{}, b.err()
}

// What came from a Secret is in nothing that a run, a plan or a rendering tells.
func TestSecretsAreNotTold(t *testing.T) {
	const password = "p\"ass\nwörd/1"
	const key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END KEY-----\n"
	quoted, err := json.Marshal(password)
	if err != nil {
		t.Fatal(err)
	}
	values, err := json.Marshal(map[string]any{"db": map[string]any{"dsn": password, "keys": []any{key}}, "pin": 20261123, "short": "abc"})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{password, string(quoted[1 : len(quoted)-1]), base64.StdEncoding.EncodeToString([]byte(password)), "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "20261123"}
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.From = []ValuesFrom{{Secret: &ObjectKey{Namespace: "demo", Name: "s"}}}
		g.host.Secret = func(context.Context, string, string, string) (secret.Secret, error) {
			return secret.New(string(values)), nil
		}
		g.host.Helm = babbler{g.world, strings.Join(secrets, " and ") + fmt.Sprintf(" and %q abc", password)}
		var said []any
		tell := func(p Progress) { said = append(said, p) }
		rep, rec := g.runner.Run(t.Context(), g.spec, g.host, Record{}, tell)
		again, rec := g.runner.Run(t.Context(), g.spec, g.host, rec, tell)
		plan, err := g.runner.Plan(t.Context(), g.spec, g.host, rec)
		if err != nil || plan.Err == nil || plan.Notes == "" || len(plan.Changes) == 0 {
			t.Errorf("%+v, %v", plan, err)
		}
		template := g.runner.Template(t.Context(), g.spec, g.host, &strings.Builder{})
		g.settle(ghost)
		g.newest(ghost).Message = secrets[0]
		drifted, _ := g.runner.Run(t.Context(), g.spec, g.host, Record{}, tell)
		said = append(said, rep, rec, again, plan, drifted, []string{rep.Err.Error(), again.Err.Error(), plan.Err.Error(), template.Error(), fmt.Sprint(drifted.Err)})
		text, jsonErr := json.Marshal(said)
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		for _, s := range append(secrets, "wörd") {
			inJSON, _ := json.Marshal(s)
			if bytes := string(inJSON[1 : len(inJSON)-1]); strings.Contains(string(text), bytes) {
				t.Errorf("%q is told in %s", s, text)
			}
		}
		if !strings.HasPrefix(rep.Error, "bad values: (redacted) and (redacted) and") || !strings.Contains(rep.Error, "abc") {
			t.Errorf("%q", rep.Error)
		}
	})
}

// Errors say what is wrong first, in a line, and are what they were.
func TestTold(t *testing.T) {
	cause := errors.New("no  such\nthing.")
	err := fmt.Errorf("chart: %w", errors.Join(&instanceError{sdk.Permanent(fmt.Errorf("chart a: %w", cause))}, &instanceError{errors.New("and more")}))
	n := &run{}
	told := n.told(err)
	if got, want := told.Error(), "chart: chart a: no such thing. and more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(told, cause) || !sdk.IsPermanent(told) {
		t.Error("it is not what it was")
	}
	if n.told(nil) != nil {
		t.Error("nothing became an error")
	}
	n.hide("hunter22")
	told = n.told(fmt.Errorf("x: %w", diag.List{{Summary: "not hunter22", Detail: "hunter22 is bad"}}.Err()))
	list, ok := diag.From(told)
	if diff := cmp.Diff(diag.List{{Summary: "not (redacted)", Detail: "(redacted) is bad"}}, list); !ok || diff != "" {
		t.Error(diff)
	}
}

func TestInTime(t *testing.T) {
	tests := map[string]struct {
		err  error
		last helm.Event
		want string
	}{
		"bare":           {context.DeadlineExceeded, helm.Event{}, "not done within 5m0s"},
		"what":           {fmt.Errorf("test: resource Pod/demo/a not ready. status: InProgress\n%w", context.DeadlineExceeded), helm.Event{}, "not done within 5m0s: test: resource Pod/demo/a not ready. status: InProgress"},
		"wrapped":        {fmt.Errorf("pre-install: %w: last words", context.DeadlineExceeded), helm.Event{}, "not done within 5m0s: pre-install: last words"},
		"what was last":  {fmt.Errorf("hook: %w", context.DeadlineExceeded), helm.Event{Object: "Job/migrate", Message: "waiting"}, "not done within 5m0s: hook; waited for Job/migrate: waiting"},
		"known already":  {fmt.Errorf("Job/migrate: %w", context.DeadlineExceeded), helm.Event{Object: "Job/migrate", Message: "waiting"}, "not done within 5m0s: Job/migrate"},
		"something else": {errors.New("refused"), helm.Event{Object: "Job/migrate"}, "refused"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := &run{last: tt.last}
			err := n.inTime(t.Context(), tt.err, 5*time.Minute)
			if err.Error() != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, want %q", err, tt.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&run{}).inTime(ctx, context.DeadlineExceeded, time.Minute); !errors.Is(err, context.DeadlineExceeded) || err.Error() != expired {
		t.Error(err)
	}
}
