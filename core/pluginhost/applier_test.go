//go:build unix

package pluginhost

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// indiscreet is an applier that repeats its token in all it says.
type indiscreet struct{ token string }

func serveIndiscreet() {
	sdk.Main(sdk.Plugin{Name: "indiscreet", Version: "1.0.0", Kinds: []sdk.Kind{
		applier.New("indiscreet", func(_ context.Context, c testConfig, _ sdk.Env) (indiscreet, error) {
			return indiscreet{c.Token.Reveal()}, nil
		}),
	}})
}

func (a indiscreet) diagnostic() *diag.Diagnostic {
	return &diag.Diagnostic{Summary: "s " + a.token, Detail: "d " + a.token}
}

func (a indiscreet) Plan(_ context.Context, _ applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	emit(applier.Change{Ref: applier.Ref{Kind: "K", Name: "n"}, Action: applier.Update, Reason: a.token, Diff: "+" + a.token, Diagnostic: a.diagnostic()})
	return applier.Summary{}, nil
}

func (a indiscreet) Apply(_ context.Context, _ applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	emit(applier.Result{Ref: applier.Ref{Kind: "K", Name: "n"}, Outcome: applier.Failed, Reason: a.token, Diagnostic: a.diagnostic()})
	return applier.Summary{}, nil
}

func (a indiscreet) Delete(ctx context.Context, _ applier.Deletion, emit func(applier.Result)) (applier.Summary, error) {
	return a.Apply(ctx, applier.Set{}, emit)
}

func (a indiscreet) Status(_ context.Context, _ string, emit func(applier.ObjectStatus)) error {
	emit(applier.ObjectStatus{Ref: applier.Ref{Kind: "K", Name: "n"}, Health: applier.Stalled, Message: a.token})
	return nil
}

func (a indiscreet) Watch(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	return a.Status(ctx, owner, emit)
}

func (a indiscreet) Follow(_ context.Context, _ applier.ResourceFilter, emit func(applier.Resource)) error {
	emit(applier.Resource{Ref: applier.Ref{Kind: "K"}, Problem: a.token})
	return nil
}

// PatchResource returns the status as it came, and takes what holds the token
// for a mistake.
func (a indiscreet) PatchResource(_ context.Context, p applier.ResourcePatch) (applier.Resource, error) {
	if strings.Contains(string(p.Status), a.token) {
		return applier.Resource{}, fmt.Errorf("the status is for everybody to read")
	}
	return applier.Resource{Object: p.Status}, nil
}

func (a indiscreet) TellResource(_ context.Context, e applier.ResourceEvent) error {
	if strings.Contains(e.Message, a.token) {
		return fmt.Errorf("the event is for everybody to read")
	}
	return nil
}

func (a indiscreet) ReadConfig(context.Context, applier.ConfigRef) (string, error) { return "", nil }

// TestWhatIsWrittenIntoATargetIsScrubbed: status and events are for everybody
// who may read the object.
func TestWhatIsWrittenIntoATargetIsScrubbed(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "indiscreet")
	i, _, err := h.Open(t.Context(), "applier", "indiscreet", "applier.indiscreet.a", config(t, "token", `sesame-"open"`))
	if err != nil {
		t.Fatal(err)
	}
	a := i.Applier()
	status := `{"phase":"Failed","message":"login with sesame-\"open\" refused"}`
	r, err := a.PatchResource(t.Context(), applier.ResourcePatch{Status: []byte(status)})
	if want := `{"phase":"Failed","message":"login with (redacted) refused"}`; err != nil || string(r.Object) != want {
		t.Errorf("status %s, %v; want %s", r.Object, err, want)
	}
	if err := a.TellResource(t.Context(), applier.ResourceEvent{Message: `sesame-"open"`}); err != nil {
		t.Error(err)
	}
	err = a.Follow(t.Context(), applier.ResourceFilter{}, func(r applier.Resource) {
		if r.Problem != "(redacted)" {
			t.Errorf("a problem says %q", r.Problem)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWhatAnApplierSaysIsScrubbed(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "indiscreet")
	i, _, err := h.Open(t.Context(), "applier", "indiscreet", "applier.indiscreet.a", config(t, "token", "sesame-open"))
	if err != nil {
		t.Fatal(err)
	}
	a := i.Applier()
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	result := func(r applier.Result) { say("%s %v", r.Reason, *r.Diagnostic) }
	status := func(s applier.ObjectStatus) { say("%s", s.Message) }
	_, err1 := a.Plan(t.Context(), applier.Set{}, func(c applier.Change) { say("%s %s %v", c.Reason, c.Diff, *c.Diagnostic) })
	_, err2 := a.Apply(t.Context(), applier.Set{}, result)
	_, err3 := a.Delete(t.Context(), applier.Deletion{}, result)
	for _, err := range []error{err1, err2, err3, a.Status(t.Context(), "o", status), a.Watch(t.Context(), "o", status)} {
		if err != nil {
			t.Error(err)
		}
	}
	leaks := slices.ContainsFunc(said, func(s string) bool {
		return strings.Contains(s, "sesame") || !strings.Contains(s, "(redacted)")
	})
	if len(said) != 5 || leaks {
		t.Errorf("the applier said %q", said)
	}
}
