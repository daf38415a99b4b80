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

// candid is a helm that shows the values of objects, those that are there and
// those that are to be, and reads revisions.
type candid struct {
	*world
	unread error
}

func (c candid) Content(_ context.Context, ref helm.ReleaseRef, number int) (helm.Content, error) {
	if c.unread != nil {
		return helm.Content{}, c.unread
	}
	for _, s := range c.releases[ref] {
		if s.Number == number {
			text, err := json.Marshal(s.values)
			return helm.Content{Revision: s.Revision, Values: secret.New(string(text))}, err
		}
	}
	return helm.Content{}, helm.ErrNotFound
}

func (c candid) Plan(_ context.Context, r helm.Release, emit func(helm.Change)) (helm.Rendered, error) {
	is, err := json.Marshal(c.newest(r.Ref).values)
	emit(helm.Change{Kind: "ConfigMap", Name: "web", Action: "update", Diff: fmt.Sprintf("- %s\n+ %s\n", is, r.Values.Reveal())})
	return helm.Rendered{}, err
}

// A password that was replaced is hidden as well as the one that is to be: it
// stands in what is installed, and may be good for a while.
func TestReplacedSecretsAreNotTold(t *testing.T) {
	const old, now = "0ld-passw0rd", "n3w-passw0rd"
	plain := `{"colour": "red", "replicas": 12345678}`
	tests := map[string]struct {
		now    string // values in the Secret; empty: there is none any more
		unread error
		want   string // in the difference, beside what is not
	}{
		"replaced":          {now: `{"password": "` + now + `", "pin": 20261123}`, want: `"password":"(redacted)"`},
		"another key":       {now: `{"key": "` + now + `"}`, want: `"key":"(redacted)"`},
		"no secret at all":  {want: `- {"colour":"red","password":"(redacted)","pin":(redacted),"replicas":12345678}`},
		"nobody can tell":   {now: `{"password": "` + now + `"}`, unread: errors.New("forbidden"), want: "(not shown: it cannot be told what in it came from a Secret)"},
		"nothing but plain": {now: `{}`, want: `"colour":"red"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				h := candid{g.world, nil}
				g.host.Helm, g.host.Observer = h, NewObserver(h, ObserverOptions{})
				text := `{"password": "` + old + `", "pin": 20261122}`
				g.host.Secret = func(context.Context, string, string, string) (secret.Secret, error) { return secret.New(text), nil }
				g.values(plain)
				g.spec.From = []ValuesFrom{{Secret: &ObjectKey{Namespace: "demo", Name: "s"}}}
				later(g.expect("in_sync: install", "deployed"))
				if text = tt.now; text == "" {
					g.spec.From = nil
				}
				h.unread = tt.unread
				g.host.Helm = h
				plan, err := g.runner.Plan(t.Context(), g.spec, g.host, g.rec)
				if err != nil || len(plan.Changes) != 1 {
					t.Fatalf("%+v, %v", plan, err)
				}
				diff := plan.Changes[0].Diff
				for _, s := range []string{old, now, "20261122", "20261123"} {
					if strings.Contains(diff, s) {
						t.Errorf("%s is told", s)
					}
				}
				if !strings.Contains(diff, tt.want) {
					t.Errorf("got %s, want %s", diff, tt.want)
				}
			})
		})
	}
}

// What Helm has written down is censored with the values of now and then.
func TestCensor(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		h := candid{g.world, nil}
		g.host.Helm, g.host.Observer = h, NewObserver(h, ObserverOptions{})
		text := `{"password": "0ld-passw0rd"}`
		g.host.Secret = func(context.Context, string, string, string) (secret.Secret, error) { return secret.New(text), nil }
		g.spec.From = []ValuesFrom{{Secret: &ObjectKey{Namespace: "demo", Name: "s"}}}
		later(g.run(t.Context()))
		text = `{"password": "n3w-passw0rd"}`
		const said = "log in with 0ld-passw0rd, then n3w-passw0rd"
		censored := func(rec Record) string {
			var past []helm.Revision
			if err := g.History(t.Context(), ghost, func(r helm.Revision) { past = append(past, r) }); err != nil {
				t.Fatal(err)
			}
			return g.runner.Censor(t.Context(), g.spec, g.host, rec, past)(said)
		}
		if got := censored(g.rec); got != "log in with (redacted), then (redacted)" {
			t.Error(got)
		}
		g.spec.From = nil // and the record remembers where it was
		if got := censored(g.rec); got != "log in with (redacted), then n3w-passw0rd" {
			t.Error(got)
		}
		g.host.Helm = g.world // which reads nothing
		if got := censored(g.rec); got != notShown {
			t.Error(got)
		}
		if got := censored(Record{}); got != said { // no Secret is declared, and nobody knows of one
			t.Error(got)
		}
		if diff := cmp.Diff([]string{"/password"}, g.rec.SecretsIn(1, nil)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{""}, Record{}.SecretsIn(1, nil)); diff != "" {
			t.Error(diff)
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
