package charts

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/sluice-gitops/sluice/sdk"
)

// deepestArchive is how many archives may be in each other.
const deepestArchive = 8

var (
	errHeavy = errors.New("it is too large when the archives in it are unpacked")
	errDeep  = errors.New("it has too many archives in each other")
)

// weigh refuses a chart whose files, with those of the archives in it, hold
// more than some bytes, or are too many: whoever loads it has all of them in
// memory, and Helm bounds each archive, but not all together. Archives count
// wherever they stand: what Helm takes for a charts directory is its business.
func weigh(chart, dir string, most int64) error {
	s := scale{bytes: most, files: mostFiles}
	err := filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		return s.add(filepath.ToSlash(name), info.Size(), func() error {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			return s.archive(f, 1)
		})
	})
	switch {
	case errors.Is(err, errHeavy), errors.Is(err, errDeep):
		return sdk.Permanent(fmt.Errorf("chart %s: %w", chart, err))
	case err != nil:
		return fmt.Errorf("chart %s: %w", chart, err)
	}
	return nil
}

// scale is what a chart may still hold.
type scale struct {
	bytes int64
	files int
}

// add counts a file, and what is in it if it is an archive.
func (s *scale) add(name string, size int64, open func() error) error {
	s.bytes -= size
	s.files--
	if s.bytes < 0 || s.files < 0 {
		return errHeavy
	}
	if path.Ext(path.Clean(strings.ReplaceAll(name, `\`, "/"))) != ".tgz" {
		return nil
	}
	return open()
}

// archive counts what an archive holds. One that is malformed is for Helm to
// refuse, which reads as far as this.
func (s *scale) archive(r io.Reader, depth int) error {
	if depth > deepestArchive {
		return errDeep
	}
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil
	}
	content := tar.NewReader(unzipped)
	for {
		header, err := content.Next()
		if err != nil {
			return nil
		}
		err = s.add(header.Name, header.Size, func() error { return s.archive(content, depth+1) })
		if err != nil {
			return err
		}
	}
}
