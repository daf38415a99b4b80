package charts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/ignore"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// tree is a chart in a directory of a tree. Nothing outside the tree can be
// reached through it, by symbolic links neither.
type tree struct {
	root *os.Root
	dir  string // below root
}

// openTree opens the tree that ref names.
func openTree(ref helm.ChartRef) (*tree, error) {
	root, err := os.OpenRoot(ref.Tree)
	if err != nil {
		return nil, err
	}
	t := &tree{root, path.Clean("./" + ref.Path)}
	if _, err := root.Stat(path.Join(t.dir, "Chart.yaml")); err != nil {
		_ = root.Close()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, sdk.Permanent(fmt.Errorf("there is no chart in %q: it has no Chart.yaml", ref.Path))
		}
		return nil, sdk.Permanent(fmt.Errorf("chart %q: %w", ref.Path, err))
	}
	return t, nil
}

func (t *tree) close() { _ = t.root.Close() }

// at is a chart in another directory of the same tree.
func (t *tree) at(dir string) *tree { return &tree{t.root, dir} }

// mostTree is how much a chart in a tree may hold, in bytes.
const mostTree = 256 << 20

// deepest is how many directories may be in each other: links may go round.
const deepest = 32

// walker visits the files of a chart in a fixed order, without those that its
// .helmignore names.
type walker struct {
	tree  *tree
	rules *ignore.Rules
	visit func(name string, content io.Reader) error
	files int
	left  int64
}

func (t *tree) walk(visit func(name string, content io.Reader) error) error {
	rules, err := t.rules()
	if err != nil {
		return err
	}
	w := &walker{tree: t, rules: rules, visit: visit, left: mostTree}
	return w.dir("", 0)
}

func (t *tree) rules() (*ignore.Rules, error) {
	rules := ignore.Empty()
	f, err := t.root.Open(path.Join(t.dir, ignore.HelmIgnore))
	switch {
	case err == nil:
		defer func() { _ = f.Close() }()
		if rules, err = ignore.Parse(f); err != nil {
			return nil, sdk.Permanent(fmt.Errorf("%s/.helmignore: %w", t.dir, err))
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	rules.AddDefaults()
	return rules, nil
}

func (w *walker) dir(name string, depth int) error {
	if depth > deepest {
		return fmt.Errorf("%s is too deep in the chart", name)
	}
	f, err := w.tree.root.Open(path.Join(w.tree.dir, name))
	if err != nil {
		return err
	}
	list, err := f.ReadDir(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range list {
		if err := w.entry(path.Join(name, e.Name()), depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(name string, depth int) error {
	full := path.Join(w.tree.dir, name)
	info, err := w.tree.root.Stat(full) // follows links within the tree
	switch {
	case err != nil:
		return sdk.Permanent(fmt.Errorf("chart file %s: %w", full, err))
	case w.rules.Ignore(name, info):
		return nil
	case info.IsDir():
		return w.dir(name, depth+1)
	case !info.Mode().IsRegular():
		return sdk.Permanent(fmt.Errorf("chart file %s is no regular file", full))
	}
	w.files++
	if w.left -= info.Size(); w.left < 0 || w.files > mostFiles {
		return sdk.Permanent(fmt.Errorf("the chart in %q is too large", w.tree.dir))
	}
	f, err := w.tree.root.Open(full)
	if err != nil {
		return err
	}
	return errors.Join(w.visit(name, f), f.Close())
}

// digest of the chart's files.
func (t *tree) digest() (string, error) {
	all := sha256.New()
	err := t.walk(func(name string, content io.Reader) error {
		one := sha256.New()
		if _, err := io.Copy(one, content); err != nil {
			return err
		}
		fmt.Fprintf(all, "%q %x\n", name, one.Sum(nil))
		return nil
	})
	return fmt.Sprintf("sha256:%x", all.Sum(nil)), err
}

// copy writes the chart's files into a directory.
func (t *tree) copy(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	to, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	return errors.Join(t.walk(func(name string, content io.Reader) error { return write(to, name, content) }), to.Close())
}

// resolveTree resolves a chart in a tree, with the dependencies it lacks.
func (s *Store) resolveTree(ctx context.Context, ref helm.ChartRef) (helm.Chart, error) {
	t, err := openTree(ref)
	if err != nil {
		return helm.Chart{}, err
	}
	defer t.close()
	m, err := t.metadata()
	if err != nil {
		return helm.Chart{}, err
	}
	c := helm.Chart{Ref: ref, Version: m.Version}
	if !ref.KeepDependencies {
		if c.Dependencies, err = s.lacking(ctx, ref, t, m); err != nil {
			return helm.Chart{}, err
		}
	}
	c.Digest, err = sumTree(t, c.Dependencies)
	return c, err
}

// sumTree is the digest of a chart and what is added to it.
func sumTree(t *tree, dependencies []helm.Dependency) (string, error) {
	own, err := t.digest()
	if err != nil || len(dependencies) == 0 {
		return own, err
	}
	all := sha256.New()
	fmt.Fprintln(all, own)
	for _, d := range dependencies {
		fmt.Fprintf(all, "%q %q %s\n", d.Name, d.Version, d.Digest)
	}
	return fmt.Sprintf("sha256:%x", all.Sum(nil)), nil
}

// pullTree writes a chart in a tree, and its dependencies, into dir.
func (s *Store) pullTree(ctx context.Context, c helm.Chart, dir string) error {
	t, err := openTree(c.Ref)
	if err != nil {
		return err
	}
	defer t.close()
	switch got, err := sumTree(t, c.Dependencies); {
	case err != nil:
		return err
	case got != c.Digest:
		return fmt.Errorf("chart %s has changed: %w", c.Ref.Path, errDigest)
	}
	if err := t.copy(dir); err != nil {
		return err
	}
	for _, d := range c.Dependencies {
		if err := s.add(ctx, c.Ref, t, d, filepath.Join(dir, "charts")); err != nil {
			return fmt.Errorf("chart %s: dependency %s: %w", c.Ref.Path, d.Name, err)
		}
	}
	return nil
}
