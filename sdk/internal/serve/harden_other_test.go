//go:build !linux

package serve_test

import (
	"errors"

	"github.com/sluice-gitops/sluice/sdk/source"
)

func readProtections() (source.Revision, error) {
	return source.Revision{}, errors.ErrUnsupported
}

func readName() (source.Revision, error) { return source.Revision{}, errors.ErrUnsupported }
