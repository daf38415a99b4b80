package writeback

import (
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

const (
	// enoughBytes bounds the old and new contents of the files of one commit of
	// several changes.
	enoughBytes = 8 << 20
	// maxBytes bounds those of one change alone. They reach the source's plugin
	// in one message, of which there is a maximum of 16 MiB.
	maxBytes = 15 << 20
)

func sizeOf(files []edit.FileChange) int {
	n := 0
	for _, f := range files {
		n += len(f.Path) + len(f.Old) + len(f.New)
	}
	return n
}

// bytes are the contents that the commit has so far.
func (p *plan) bytes() int {
	n := 0
	for path, f := range p.files {
		n += len(path) + len(f.old) + len(f.new)
	}
	return n
}

// fitting returns how many items of a group, from its first, go into the commit
// beside what it has. The first item of a commit always does.
func (p *plan) fitting(group []*item, asked []place, files []edit.FileChange) int {
	sizes := make([]int, len(group)) // by the first item that a file is due to
	for _, f := range files {
		first := len(group) - 1
		for _, n := range editsOf(f, len(asked)) {
			first = min(first, slices.Index(group, asked[n].item))
		}
		sizes[first] += sizeOf([]edit.FileChange{f})
	}
	have := p.bytes()
	for n, size := range sizes {
		if have += size; have > enoughBytes && (n > 0 || len(p.files) > 0) {
			return n
		}
	}
	return len(group)
}

// postpone puts items into the next commit.
func postpone(items []*item) {
	for _, i := range items {
		i.state = putOff
	}
}

// refuse ends a change that no commit can hold.
func (i *item) refuse(files []edit.FileChange) {
	biggest := slices.MaxFunc(files, func(a, b edit.FileChange) int {
		return sizeOf([]edit.FileChange{a}) - sizeOf([]edit.FileChange{b})
	})
	err := fmt.Errorf("%s, of %.1f MiB, is too large to be changed: all that one change needs, before and after, must be less than %d MiB; split the file",
		biggest.Path, float64(len(biggest.New))/(1<<20), maxBytes>>20)
	if len(files) > 1 {
		err = fmt.Errorf("the %d files are too large together to be changed at once: before and after they must be less than %d MiB; change fewer workloads at a time", len(files), maxBytes>>20)
	}
	for n := range i.errs {
		if i.errs[n] == nil {
			i.errs[n] = err
		}
	}
}
