package charts

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// sum is the digest of an archive at a URL.
type sum struct {
	digest string
	stamp
}

// download writes a response to a file, which is replaced when all is there.
func download(resp *http.Response, file string, most int64) error {
	if resp.ContentLength > most {
		return tooLarge(most)
	}
	body := &io.LimitedReader{R: resp.Body, N: most + 1}
	if err := replace(file, body); err != nil {
		return err
	}
	if body.N == 0 {
		return errors.Join(tooLarge(most), os.Remove(file))
	}
	return nil
}

func tooLarge(most int64) error {
	return fmt.Errorf("it is larger than the %d bytes that are allowed", most)
}

// replace writes a file beside another and puts it in its place.
func replace(file string, r io.Reader) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if _, err := io.Copy(f, r); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// digestOf is that of a file.
func digestOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil)), nil
}

// file is where the archive with a digest is kept that a repository has
// delivered.
func (s *Store) file(where location, digest string) string {
	_, sum, _ := strings.Cut(path.Base(digest), ":")
	return filepath.Join(s.Dir, "archive", where.identity()+"-"+sum+".tgz")
}

// kept returns the archive with a digest, if this repository has delivered it
// to whoever asks, and it is sound. That another one has is not enough: an
// index may claim any digest.
func (s *Store) kept(where location, digest string) (file string, ok bool) {
	file = s.file(where, digest)
	if got, err := digestOf(file); err != nil || got != digest {
		return file, false
	}
	now := time.Now()
	_ = os.Chtimes(file, now, now) // only the order of removal depends on it
	return file, true
}

// sumOf downloads the archive of an entry whose index has no digest, unless it
// has not changed.
func (s *Store) sumOf(ctx context.Context, ref helm.ChartRef, where location, f found) (string, error) {
	at, err := s.archiveAt(ref, where, f)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	last := s.sums[at.identity()]
	s.mu.Unlock()
	header := last.header()
	if _, ok := s.kept(where, last.digest); !ok {
		header = nil
	}
	resp, err := s.get(ctx, at, header)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusNotModified {
		return last.digest, nil
	}
	digest, err := s.keep(where, at, resp, "")
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sums[at.identity()] = sum{digest, stampOf(resp.Header)}
	return digest, nil
}

// archiveAt is where an index says that the archive is: below the repository,
// or anywhere, which may have a mirror and credentials of its own.
func (s *Store) archiveAt(ref helm.ChartRef, where location, f found) (location, error) {
	u, err := url.Parse(f.url)
	if err != nil {
		return location{}, fmt.Errorf("%s: the index has a URL that is none: %q", where, f.url)
	}
	asked, err := url.Parse(where.asked)
	if err != nil {
		return location{}, fmt.Errorf("%q is not a URL", redactURL(where.asked))
	}
	if rooted := u.Host != "" || strings.HasPrefix(u.Path, "/"); where.mirrored && !rooted {
		return s.locate(ref, directory(asked).ResolveReference(u).String()) // the mirror is only for what is below its prefix
	}
	full := directory(where.URL).ResolveReference(u)
	if full.Scheme != where.Scheme || full.Host != where.Host {
		return s.locate(ref, full.String())
	}
	if helm.HasDotSegments(full) {
		return location{}, fmt.Errorf("%s: the index has a URL with . or .. in its path: %q", where, f.url)
	}
	at := where
	at.URL, at.asked = full, strings.TrimSuffix(where.asked, "/")+"/"+f.url
	return at, nil
}

// directory is a URL that others are relative to.
func directory(u *url.URL) *url.URL {
	return &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/") + "/"}
}

// keep stores the archive of a response, as the repository where's, under its
// digest, which must be want unless that is empty.
func (s *Store) keep(where, at location, resp *http.Response, want string) (string, error) {
	temporary, err := os.CreateTemp(filepath.Join(s.Dir, "archive"), ".part-*")
	if err != nil {
		return "", err
	}
	name := temporary.Name()
	defer func() { _ = os.Remove(name) }() // unless it was renamed
	if err := temporary.Close(); err != nil {
		return "", err
	}
	if err := download(resp, name, s.MaxChart); err != nil {
		return "", fmt.Errorf("%s: %w", at, err)
	}
	digest, err := digestOf(name)
	if err != nil {
		return "", err
	}
	if want != "" && digest != want {
		return "", fmt.Errorf("%s is %s: %w", at, digest, errDigest)
	}
	if err := os.Rename(name, s.file(where, digest)); err != nil {
		return "", err
	}
	return digest, tidy(filepath.Join(s.Dir, "archive"), mostKept)
}

// mostKept is how many bytes of archives are kept, the last used ones, and how
// many of indexes.
const mostKept = 512 << 20

// tidy deletes the files of a directory that were not used for longest, if they
// are more bytes together.
func tidy(dir string, most int64) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var infos []fs.FileInfo
	var total int64
	for _, e := range list {
		if info, err := e.Info(); err == nil { // else it has just gone
			infos = append(infos, info)
			total += info.Size()
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	for _, info := range infos {
		if total <= most {
			break
		}
		if err := os.Remove(filepath.Join(dir, info.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= info.Size()
	}
	return nil
}

// pullEntry returns the archive of an exact chart of an HTTP(S) repository.
func (s *Store) pullEntry(ctx context.Context, ref helm.ChartRef, where location, digest string) (string, error) {
	file, ok := s.kept(where, digest)
	if ok && ref.Keyring == "" {
		return file, nil
	}
	f, err := s.findEntry(ctx, ref, where)
	if err != nil {
		return "", err
	}
	if f.digest != digest {
		return "", fmt.Errorf("%s has version %s as %s now: %w", where, f.version, f.digest, errDigest)
	}
	at, err := s.archiveAt(ref, where, f)
	if err != nil {
		return "", err
	}
	if file, ok = s.kept(where, digest); !ok {
		resp, err := s.get(ctx, at, nil)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := s.keep(where, at, resp, digest); err != nil {
			return "", err
		}
	}
	if ref.Keyring == "" {
		return file, nil
	}
	return file, s.checkEntry(ctx, ref, at, file)
}

// mostFiles a chart may have.
const mostFiles = 20000

// extract unpacks an archive into an empty directory, without the directory
// that it holds all in.
func extract(file, dir string, most int64) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("it is no gzip archive: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	archive := tar.NewReader(unzipped)
	for n := 0; ; n++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("it is no tar archive: %w", err)
		}
		if n >= mostFiles {
			return fmt.Errorf("it has more than %d files", mostFiles)
		}
		size, err := unpack(root, header, archive, most)
		if err != nil {
			return fmt.Errorf("%q: %w", header.Name, err)
		}
		most -= size
	}
	if _, err := root.Stat("Chart.yaml"); err != nil {
		return errors.New("it has no Chart.yaml")
	}
	return nil
}

// unpack writes one file of an archive.
func unpack(root *os.Root, header *tar.Header, content io.Reader, most int64) (int64, error) {
	if header.Typeflag == tar.TypeDir || header.Typeflag == tar.TypeXGlobalHeader {
		return 0, nil
	}
	if header.Typeflag != tar.TypeReg {
		return 0, errors.New("a chart holds regular files only")
	}
	_, name, _ := strings.Cut(strings.TrimPrefix(strings.ReplaceAll(header.Name, `\`, "/"), "./"), "/")
	if !filepath.IsLocal(name) {
		return 0, errors.New("it is outside the chart's directory")
	}
	if header.Size > most {
		return 0, errors.New("the chart is too large when unpacked")
	}
	return header.Size, write(root, name, content)
}

// write makes a file below root.
func write(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(path.Clean(name)), 0o755); err != nil {
		return err
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Close())
}
