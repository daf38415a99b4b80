package render

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// stubborn is layered, but the images of some workloads are decided elsewhere,
// and others cannot be rendered with any other image. From the rendering with
// the number hangs on it does not return before its time is over.
type stubborn struct {
	layered
	fixed, brittle string // names
	hangs          int
	cut            func() // called then
}

func (s *stubborn) Render(ctx context.Context, req renderer.Request) (renderer.Result, error) {
	res, err := s.layered.Render(ctx, req)
	if err != nil {
		return res, err
	}
	if s.hangs > 0 && s.calls >= s.hangs {
		s.cut()
		<-ctx.Done()
		return res, errors.New("CANCEL")
	}
	for out := range res.Origins {
		file := filepath.Join(req.Out, out)
		data, err := os.ReadFile(file)
		if err != nil {
			return res, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(out, "prod-"), ".yaml")
		if strings.Contains(s.brittle, name) && !strings.Contains(string(data), ":1\n") {
			return res, fmt.Errorf("%s: no such image", name)
		}
		if strings.Contains(s.fixed, name) {
			data = []byte(strings.Replace(string(data), ":2\n", ":1\n", 1))
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return res, err
		}
	}
	return res, nil
}

// many are the files and the edits of n workloads.
func many(n int) (files map[string]string, edits []edit.Edit) {
	files = map[string]string{"prod/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nbase: base\n"}
	for i := range n {
		name := fmt.Sprintf("w%03d", i)
		files["prod/base/"+name+".yaml"] = manifestOf(name, "example.com/"+name+":1")
		edits = append(edits, image("shop:deployment/"+name, "example.com/"+name+":2"))
	}
	return files, edits
}

// What cannot be made costs itself a few renderings, not the others one each.
func TestBadEditsAmongMany(t *testing.T) {
	const n = 60
	for name, c := range map[string]struct {
		renderer *stubborn
		bad      []int
		most     int // renderings
	}{
		"one is decided elsewhere":   {&stubborn{fixed: "w007"}, []int{7}, 6},
		"three are":                  {&stubborn{fixed: "w007 w030 w059"}, []int{7, 30, 59}, 14},
		"one cannot be rendered":     {&stubborn{brittle: "w043"}, []int{43}, 24},
		"both, and it is not there":  {&stubborn{fixed: "w007", brittle: "w043"}, []int{7, 43}, 32},
		"all are, one after another": {&stubborn{fixed: "w000 w001 w002"}, []int{0, 1, 2}, 14},
	} {
		t.Run(name, func(t *testing.T) {
			files, edits := many(n)
			changes, errs := apply(t, c.renderer, tree(t, files), edits...)
			bad := 0
			for i, err := range errs {
				if err != nil {
					bad++
					if bad > len(c.bad) || c.bad[bad-1] != i {
						t.Errorf("edit %d: %v", i, err)
					}
				}
			}
			if bad != len(c.bad) || len(changes) != n-bad {
				t.Errorf("%d are bad, %d files change", bad, len(changes))
			}
			if c.renderer.calls > c.most {
				t.Errorf("rendered %d times, want at most %d", c.renderer.calls, c.most)
			}
		})
	}
}

// When its time is over, what is done is done, and the rest says why it is not.
func TestCutOff(t *testing.T) {
	files, edits := many(20)
	late := errors.New("it takes too long")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := &stubborn{fixed: "w007", hangs: 4, cut: func() { cancel(late) }} // after all at once, and the good ones
	changes, errs := Apply(ctx, s, tree(t, files), []string{"prod"}, edit.Options{Namespace: "shop"}, filepath.Join(t.TempDir(), "work"), edits)
	for i, err := range errs {
		if want := i == 7; want != errors.Is(err, late) || !want && err != nil {
			t.Errorf("edit %d: %v", i, err)
		}
	}
	if len(changes) != len(edits)-1 {
		t.Errorf("%d changes", len(changes))
	}
}
