package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the repository's root, seen from this package.
const root = "../.."

// pkg is one directory of Go files, tests and generated code left out.
type pkg struct {
	dir        string // relative to the root, with slashes
	imports    []string
	documented bool
}

// packages parses the import clauses of every Go file in the repository.
func packages(t *testing.T) []*pkg {
	t.Helper()
	byDir := map[string]*pkg{}
	walk(t, func(rel string) {
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, rel), nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		p := byDir[dir]
		if p == nil {
			p = &pkg{dir: dir}
			byDir[dir] = p
		}
		p.documented = p.documented || f.Doc != nil
		for _, i := range f.Imports {
			if imp, err := strconv.Unquote(i.Path.Value); err == nil && !slices.Contains(p.imports, imp) {
				p.imports = append(p.imports, imp)
			}
		}
	})
	return slices.SortedFunc(maps.Values(byDir), func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
}

func goMods(t *testing.T) []string {
	t.Helper()
	var files []string
	walk(t, func(rel string) {
		if filepath.Base(rel) == "go.mod" {
			files = append(files, rel)
		}
	})
	return files
}

// walk calls visit for each file of the repository, relative to its root.
func walk(t *testing.T, visit func(rel string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata" || name == "pb") {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(root, path)
		if err == nil && !d.IsDir() {
			visit(rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
