package conformance

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// sourceChecks need a source that nobody changes meanwhile.
var sourceChecks = []Check{
	{"source-resolves-the-same-twice", withSource(resolvesTheSameTwice)},
	{"source-fetches-the-same-twice", withSource(fetchesTheSameTwice)},
	{"source-fetches-concurrently", withSource(fetchesConcurrently)},
	{"source-refuses-unknown-revision", withSource(refusesUnknownRevision)},
	{"source-returns-when-cancelled", returnsWhenCancelled},
	{"source-keeps-deadlines", withSource(keepsDeadlines)},
	{"source-survives-a-restart", survivesARestart},
	{"source-logs-history", withSource(logsHistory)},
	{"source-watches", watches},
	{"source-lacks-what-it-does-not-claim", withSource(lacksWhatItDoesNotClaim)},
}

type openSource struct {
	*client.Source
	caps []string
}

// withSource runs a check on an open source, and closes it.
func withSource(check func(t T, s openSource)) func(T, *Subject) {
	return func(t T, s *Subject) {
		o := s.open(t)
		defer s.closed(t, o.Instance)
		check(t, openSource{client.NewSource(s.caller(t, o)), o.Capabilities})
	}
}

func (s openSource) resolve(t T) source.Revision {
	t.Helper()
	rev, err := s.Resolve(t.Context(), source.Revision{})
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	return rev
}

func resolvesTheSameTwice(t T, s openSource) {
	first := s.resolve(t)
	second, err := s.Resolve(t.Context(), first)
	if err != nil {
		t.Fatalf("Resolve with the previous revision: %v", err)
	}
	if first.ID != second.ID {
		t.Errorf("Resolve returned %q, then %q, though nothing has changed", first.ID, second.ID)
	}
	if third := s.resolve(t); third.ID != first.ID {
		t.Errorf("Resolve without a previous revision returned %q, then %q", first.ID, third.ID)
	}
	if strings.Contains(first.URL, "@") && strings.Contains(first.URL, "://") {
		t.Logf("the revision's URL holds an @: make sure that it holds no credentials")
	}
}

func fetchesTheSameTwice(t T, s openSource) {
	rev := s.resolve(t)
	first, second := s.fetch(t, rev), s.fetch(t, rev)
	if first != second {
		t.Errorf("two fetches of %s differ:\n%s\n%s", rev.ID, first, second)
	}
}

// fetch fetches into the only entry of a directory, checks that nothing
// appears beside it, and returns a digest of the tree.
func (s openSource) fetch(t T, rev source.Revision) string {
	t.Helper()
	parent := t.TempDir()
	dir := filepath.Join(parent, "tree")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatalf("%v", err)
	}
	if err := s.Fetch(t.Context(), rev, dir); err != nil {
		t.Fatalf("Fetch: %v", err)
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(entries) != 1 {
		t.Errorf("Fetch wrote beside the directory it was given: %v", entries)
	}
	digest, err := digestTree(dir)
	if err != nil {
		t.Fatalf("the fetched tree: %v", err)
	}
	return digest
}

// digestTree hashes names, types, executable bits and content, and refuses
// what a host refuses.
func digestTree(root string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			fmt.Fprintf(h, "dir %q\n", rel)
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			return digestLink(h, root, path, rel)
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is neither a file, a directory nor a link", rel)
		}
		return digestFile(h, path, rel)
	})
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

func digestLink(h io.Writer, root, path, rel string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	at := filepath.Join(filepath.Dir(path), target)
	if filepath.IsAbs(target) || (at != root && !strings.HasPrefix(at, root+string(filepath.Separator))) {
		return fmt.Errorf("the link %s leads out of the tree, to %s", rel, target)
	}
	_, err = fmt.Fprintf(h, "link %q %q\n", rel, target)
	return err
}

func digestFile(h io.Writer, path, rel string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(h, "file %q %d %t\n", rel, info.Size(), info.Mode()&0o100 != 0)
	_, err = io.Copy(h, f)
	return err
}

func fetchesConcurrently(t T, s openSource) {
	const many = 4
	rev := s.resolve(t)
	digests := make([]string, many)
	dirs := make([]string, many)
	for i := range dirs {
		dirs[i] = t.TempDir()
	}
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			if err := s.Fetch(t.Context(), rev, dirs[i]); err != nil {
				t.Errorf("Fetch: %v", err)
				return
			}
			digest, err := digestTree(dirs[i])
			if err != nil {
				t.Errorf("the fetched tree: %v", err)
			}
			digests[i] = digest
		})
	}
	wg.Wait()
	if distinct := slices.Compact(slices.Sorted(slices.Values(digests))); len(distinct) > 1 {
		t.Errorf("concurrent fetches of one revision gave %d different trees", len(distinct))
	}
}

func refusesUnknownRevision(t T, s openSource) {
	for _, id := range []string{"no-such-revision", strings.Repeat("0", 40), "../../etc", ""} {
		err := s.Fetch(t.Context(), source.Revision{ID: id}, t.TempDir())
		switch {
		case err == nil:
			t.Errorf("Fetch of the revision %q succeeded", id)
		case !isClean(err):
			t.Errorf("Fetch of the revision %q: %v; want an error of the plugin", id, err)
		case id != "" && !errors.Is(err, source.ErrGone):
			t.Logf("Fetch of the revision %q is not ErrGone, so that the host does not resolve again at once: %v", id, err)
		}
	}
}

// returnsWhenCancelled ends calls early; Close, which waits for them, must not
// take long then.
func returnsWhenCancelled(t T, s *Subject) {
	o := s.open(t)
	src := client.NewSource(s.caller(t, o))
	rev, err := src.Resolve(t.Context(), source.Revision{})
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	interrupted(t, func(ctx context.Context, dir string) {
		_, _ = src.Resolve(ctx, rev)
		_ = src.Fetch(ctx, rev, dir)
	})
	s.closed(t, o.Instance)
}

// interrupted calls do several times at once and ends each after another
// while: some before their calls reach the plugin, some within it.
func interrupted(t T, do func(ctx context.Context, dir string)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, limit := range []time.Duration{0, 1, 5, 20, 100, 300} {
		dir := t.TempDir()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), limit*time.Millisecond)
			defer cancel()
			do(ctx, dir)
		})
	}
	wg.Wait()
}

func keepsDeadlines(t T, s openSource) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := s.Resolve(ctx, source.Revision{})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Resolve with a deadline of a millisecond: %v; want success or DEADLINE_EXCEEDED", err)
	}
	if _, err := s.Resolve(t.Context(), source.Revision{}); err != nil {
		t.Errorf("Resolve after one that ran out of time: %v", err)
	}
}

// survivesARestart fetches, in a new process with an empty cache, a revision
// that an earlier one resolved.
func survivesARestart(t T, s *Subject) {
	var rev source.Revision
	var before, after string
	withSource(func(t T, o openSource) { rev = o.resolve(t); before = o.fetch(t, rev) })(t, s)
	if err := s.Close(); err != nil {
		t.Fatalf("stop the plugin: %v", err)
	}
	withSource(func(t T, o openSource) { after = o.fetch(t, rev) })(t, s)
	if before != after {
		t.Errorf("after a restart the revision %s has another tree", rev.ID)
	}
}

func logsHistory(t T, s openSource) {
	if !slices.Contains(s.caps, source.CanLog) {
		t.Skipf("the source lacks the capability %s", source.CanLog)
	}
	rev := s.resolve(t)
	var entries []source.Entry
	if err := s.Log(t.Context(), source.Revision{}, rev, func(e source.Entry) { entries = append(entries, e) }); err != nil {
		t.Fatalf("Log: %v", err)
	}
	if len(entries) != 1 || entries[0].Revision.ID != rev.ID {
		t.Errorf("Log without a beginning emitted %d entries; want only %s", len(entries), rev.ID)
	}
	err := s.Log(t.Context(), rev, rev, func(e source.Entry) { t.Errorf("Log of nothing emitted %s", e.Revision.ID) })
	if err != nil {
		t.Errorf("Log of nothing: %v", err)
	}
}

// watches starts a watch and closes the instance under it.
func watches(t T, s *Subject) {
	o := s.open(t)
	if !slices.Contains(o.Capabilities, source.CanWatch) {
		s.closed(t, o.Instance)
		t.Skipf("the source lacks the capability %s", source.CanWatch)
	}
	src := client.NewSource(s.caller(t, o))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- src.Watch(ctx, func(source.Revision) {}) }()
	if _, err := src.Resolve(t.Context(), source.Revision{}); err != nil {
		t.Errorf("Resolve during a watch: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v; want that it was cancelled", err)
	}
	s.closed(t, o.Instance)
}

// lacksWhatItDoesNotClaim tries capabilities that have no side effects.
func lacksWhatItDoesNotClaim(t T, s openSource) {
	rev := s.resolve(t)
	try := map[string]func() error{
		source.CanLog: func() error {
			return s.Log(t.Context(), rev, rev, func(source.Entry) {})
		},
		source.CanVerify: func() error {
			_, err := s.Verify(t.Context(), rev)
			return err
		},
		source.CanIdentify: func() error {
			_, err := s.Identity(t.Context(), false)
			return err
		},
	}
	for capability, call := range try {
		claimed := slices.Contains(s.caps, capability)
		if err := call(); claimed == errors.Is(err, client.ErrUnsupported) {
			t.Errorf("%s: claimed is %t, but the call says %v", capability, claimed, err)
		}
	}
}
