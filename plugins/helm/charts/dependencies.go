package charts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// metadata is what a chart says about itself, with its dependencies wherever
// they stand.
type metadata struct {
	chart.Metadata
	file   string            // that has the dependencies, below the tree
	locked map[string]string // versions, by name and repository
}

func (t *tree) metadata() (*metadata, error) {
	m := &metadata{file: path.Join(t.dir, "Chart.yaml"), locked: map[string]string{}}
	if err := t.yaml("Chart.yaml", &m.Metadata); err != nil {
		return nil, err
	}
	lock := "Chart.lock"
	if m.APIVersion == chart.APIVersionV1 {
		lock = "requirements.lock"
		var old struct {
			Dependencies []*chart.Dependency `json:"dependencies"`
		}
		switch err := t.yaml("requirements.yaml", &old); {
		case err == nil:
			m.Dependencies, m.file = old.Dependencies, path.Join(t.dir, "requirements.yaml")
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	var locked chart.Lock
	if err := t.yaml(lock, &locked); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, d := range locked.Dependencies {
		m.locked[d.Name+" "+d.Repository] = d.Version
	}
	return m, nil
}

// mostMetadata is how large a file about a chart may be, in bytes.
const mostMetadata = 1 << 20

// yaml reads a file of the chart.
func (t *tree) yaml(name string, into any) error {
	name = path.Join(t.dir, name)
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, mostMetadata))
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		d := diag.Errorf(nil, "%s is malformed: %v", name, err)
		d.Subject = &diag.Range{File: name}
		return d
	}
	return nil
}

// lacking resolves the dependencies that are not in charts/.
func (s *Store) lacking(ctx context.Context, ref helm.ChartRef, t *tree, m *metadata) ([]helm.Dependency, error) {
	var all []helm.Dependency
	for _, d := range m.Dependencies {
		if d == nil {
			continue
		}
		there, err := t.has(d.Name)
		if err != nil {
			return nil, err
		}
		if there {
			continue
		}
		dependency, err := s.dependency(ctx, ref, t, m, d)
		if err != nil {
			return nil, t.about(m, d, err)
		}
		all = append(all, dependency)
	}
	return all, nil
}

// about says which dependency of which file an error is of. What must change
// is in the file only if the error stays for good.
func (t *tree) about(m *metadata, d *chart.Dependency, err error) error {
	err = fmt.Errorf("%s: dependency %q: %w", m.file, d.Name, err)
	if !sdk.IsPermanent(err) {
		return err
	}
	problem := diag.Errorf(nil, "%v", err)
	problem.Subject = &diag.Range{File: m.file, Start: diag.Pos{Line: t.line(m.file, d.Name)}}
	return problem
}

// line is where a dependency is named in a file, or the first.
func (t *tree) line(file, name string) int {
	f, err := t.root.Open(file)
	if err != nil {
		return 1
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, mostMetadata))
	if err != nil {
		return 1
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		key, value, _ := strings.Cut(strings.TrimLeft(line, " -"), ":")
		if n > 1 && key == "name" && strings.Trim(strings.TrimSpace(value), `"'`) == name && strings.ContainsAny(line[:1], " -") {
			return n
		}
	}
	return 1
}

// has tells whether charts/ holds a dependency, as a directory or an archive.
func (t *tree) has(name string) (bool, error) {
	f, err := t.root.Open(path.Join(t.dir, "charts"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	list, err := f.ReadDir(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	for _, e := range list {
		if e.Name() == name || archiveOf(e.Name(), name) {
			return true, nil
		}
	}
	return false, nil
}

// archiveOf tells whether a file is NAME-VERSION.tgz.
func archiveOf(file, name string) bool {
	version, ok := strings.CutPrefix(file, name+"-")
	version, isArchive := strings.CutSuffix(version, ".tgz")
	return ok && isArchive && exact(version)
}

const local = "file://"

// dependency resolves one.
func (s *Store) dependency(ctx context.Context, ref helm.ChartRef, t *tree, m *metadata, d *chart.Dependency) (helm.Dependency, error) {
	out := helm.Dependency{Repository: d.Repository, Name: d.Name}
	switch {
	case d.Repository == "":
		return out, sdk.Permanent(errors.New("it is not in charts/, and no repository is named for it"))
	case strings.HasPrefix(d.Repository, "@"), strings.HasPrefix(d.Repository, "alias:"):
		return out, sdk.Permanent(fmt.Errorf("%q is a name that only the helm command of its author knows: write the URL", d.Repository))
	case strings.HasPrefix(d.Repository, local):
		other, err := t.sibling(d.Repository)
		if err != nil {
			return out, err
		}
		about, err := other.metadata()
		if err != nil {
			return out, err
		}
		out.Version = about.Version
		out.Digest, err = other.digest()
		return out, err
	}
	wanted := s.reference(ref, out)
	wanted.Version = d.Version
	locked := m.locked[d.Name+" "+d.Repository]
	if locked != "" && !ref.IgnoreLock {
		wanted.Version = locked
	}
	f, err := s.find(ctx, wanted)
	if err != nil && wanted.Version != d.Version {
		err = fmt.Errorf("%w (the version is the one of the lock file; the range is %s)", err, d.Version)
	}
	out.Version, out.Digest = f.version, f.digest
	return out, err
}

// reference is a dependency as a chart of a repository, which is reached as
// everything that ref needs.
func (s *Store) reference(ref helm.ChartRef, d helm.Dependency) helm.ChartRef {
	return helm.ChartRef{
		Repository: d.Repository, Name: d.Name, Version: d.Version,
		Auth: s.authOf(ref, d.Repository), Remotes: ref.Remotes, Keyring: ref.Keyring,
	}
}

// authOf is ref's own if the repository is on its server.
func (s *Store) authOf(ref helm.ChartRef, repository string) helm.Auth {
	if at, err := s.locate(ref, repository); err == nil && sameServer(at.URL, ref.Repository) {
		return ref.Auth
	}
	return helm.Auth{}
}

// sibling is a chart that a dependency names by its path.
func (t *tree) sibling(repository string) (*tree, error) {
	dir := path.Join(t.dir, strings.TrimPrefix(repository, local))
	if !filepath.IsLocal(dir) {
		return nil, sdk.Permanent(fmt.Errorf("%s is outside the tree", repository))
	}
	other := t.at(dir)
	if _, err := t.root.Stat(path.Join(dir, "Chart.yaml")); err != nil {
		return nil, sdk.Permanent(fmt.Errorf("%s: there is no chart in %s", repository, dir))
	}
	return other, nil
}

// add puts a dependency into charts/.
func (s *Store) add(ctx context.Context, ref helm.ChartRef, t *tree, d helm.Dependency, dir string) error {
	if strings.HasPrefix(d.Repository, local) {
		other, err := t.sibling(d.Repository)
		if err != nil {
			return err
		}
		if got, err := other.digest(); err != nil || got != d.Digest {
			return errors.Join(err, fmt.Errorf("chart %s has changed: %w", other.dir, errDigest))
		}
		return other.copy(filepath.Join(dir, d.Name))
	}
	archive, err := s.archive(ctx, s.reference(ref, d), d.Digest)
	if err != nil {
		return err
	}
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return replace(filepath.Join(dir, fmt.Sprintf("%s-%s.tgz", d.Name, d.Version)), f)
}
