package blockimages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// troublePause is when edits are tried again that something kept from being made
// that passes.
const troublePause = 10 * time.Second

// Edit edits the files that a release has its values from: those in the
// tree of v, and the configuration itself where it is in that tree too.
func (v Values) Edit(ctx context.Context, cache *edit.Cache, edits []edit.Edit) ([]edit.FileChange, []error) {
	found, err := v.Images(ctx, cache)
	if err != nil {
		return nil, slices.Repeat([]error{sdk.RetryAfter(err, troublePause)}, len(edits))
	}
	inline := map[string]bool{}
	for _, w := range found.Workloads {
		for _, c := range w.Containers {
			inline[c.Name] = c.File != "" && c.File == v.Block.Origin.Path
		}
	}
	var own, others []int
	errs := make([]error, len(edits))
	for i, ed := range edits {
		switch {
		case ed.Workload != "" && ed.Image == "":
			errs[i] = fmt.Errorf("%s is a block, which has no annotations: an image_policy says what becomes of its images", v.Block.Address)
		case ed.Workload != "" && inline[ed.Container]:
			own = append(own, i)
		default:
			others = append(others, i)
		}
	}
	changes := append(v.editFiles(ctx, cache, edits, others, errs), v.editBlock(edits, own, errs)...)
	return changes, errs
}

// editFiles makes the edits with these indexes in files of values.
func (v Values) editFiles(ctx context.Context, cache *edit.Cache, edits []edit.Edit, indexes []int, errs []error) []edit.FileChange {
	_, paths := v.Block.ValuesFiles()
	fail := func(err error) {
		for _, i := range indexes {
			errs[i] = err
		}
	}
	if len(paths) == 0 {
		fail(fmt.Errorf("%s has no files of values any more, and not this image in its block", v.Block.Address))
		return nil
	}
	files, err := edit.Open(ctx, v.Tree.Dir, edit.TreeOptions{Options: v.Options(), Paths: paths, Cache: cache, Tree: v.Tree.Digest})
	if err != nil {
		fail(sdk.RetryAfter(err, troublePause))
		return nil
	}
	list := make([]edit.Edit, len(indexes))
	for k, i := range indexes {
		list[k] = edits[i]
	}
	changes, failures := files.Apply(ctx, list)
	for k, i := range indexes {
		errs[i] = failures[k]
	}
	for _, c := range changes {
		for k, n := range c.Edits {
			c.Edits[k] = indexes[n]
		}
	}
	return changes
}

// editBlock makes the edits with these indexes in the file of the block.
func (v Values) editBlock(edits []edit.Edit, indexes []int, errs []error) []edit.FileChange {
	if len(indexes) == 0 {
		return nil
	}
	text, err := readInTree(v.Tree.Dir, v.Block.Origin.Path)
	var all []config.Setting
	change := edit.FileChange{Path: v.Block.Origin.Path, Old: text}
	for _, i := range indexes {
		if errs[i] = err; err != nil {
			continue
		}
		settings, problem := v.settings(edits[i])
		if problem == nil {
			problem = v.Config.CheckRewrite(v.Block, text, settings)
		}
		if errs[i] = problem; problem == nil && len(settings) > 0 {
			all, change.Edits = append(all, settings...), append(change.Edits, i)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if change.New, err = v.Config.Rewrite(v.Block, text, all); err != nil {
		for _, i := range change.Edits {
			errs[i] = err
		}
		return nil
	}
	return []edit.FileChange{change}
}

// settings are what an edit changes in the values of the block.
func (v Values) settings(ed edit.Edit) ([]config.Setting, error) {
	result, errs := edit.Apply(v.Block.Values.JSON, v.Options(), []edit.Edit{ed})
	if errs[0] != nil {
		return nil, errs[0]
	}
	var before, after any
	if err := errors.Join(json.Unmarshal(v.Block.Values.JSON, &before), json.Unmarshal(result, &after)); err != nil {
		return nil, fmt.Errorf("the values of %s cannot be read", v.Block.Address)
	}
	return differing(nil, before, after), nil
}

// differing are the strings that differ between two values of one shape, in the
// order of keys.
func differing(path diag.Path, before, after any) (list []config.Setting) {
	switch after := after.(type) {
	case string:
		if was, _ := before.(string); was != after {
			list = append(list, config.Setting{Path: slices.Clone(path), Old: was, New: after})
		}
	case map[string]any:
		was, _ := before.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(after)) {
			list = append(list, differing(append(path, diag.Step{Name: key}), was[key], after[key])...)
		}
	case []any:
		was, _ := before.([]any)
		for i := range min(len(was), len(after)) {
			list = append(list, differing(append(path, diag.Step{Index: i}), was[i], after[i])...)
		}
	}
	return list
}

// placed gives a container whose image is in the block its place, if it can be
// changed there.
func (v Values) placed(c edit.Container) edit.Container {
	at := v.place(c.Name)
	if source, _ := v.Block.ValuesFiles(); v.Tree == nil || v.Block.Origin.Source == "" || v.Block.Origin.Source != source {
		c.Fixed = fmt.Sprintf("it is in the values of %s itself, at %s", v.Block.Address, at)
		return c
	}
	text, err := readInTree(v.Tree.Dir, v.Block.Origin.Path)
	if err == nil {
		err = v.mayChange(c, text)
	}
	if err != nil {
		c.Fixed = fmt.Sprintf("it is in the values of %s, at %s: %s", v.Block.Address, at, words.OneLine(err))
		return c
	}
	c.File, c.Line = v.Block.Origin.Path, at.Start.Line
	return c
}

// mayChange says why another tag cannot be written to the block.
func (v Values) mayChange(c edit.Container, text []byte) error {
	image, err := ref.Parse(c.Image)
	if err != nil {
		return err
	}
	settings, err := v.settings(edit.Edit{Workload: v.ID(), Container: c.Name, Image: image.WithTag(image.Tag + "next").String()})
	if err != nil {
		return err
	}
	err = v.Config.CheckRewrite(v.Block, text, settings)
	if errors.Is(err, config.ErrOtherText) {
		return fmt.Errorf("%s in %s is not what the daemon runs with: it is updated when that is", v.Block.Origin.Path, v.Block.Origin.Source)
	}
	return err
}

// readInTree reads a file of a tree, and nothing outside of it.
func readInTree(dir, file string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only read
	text, err := root.ReadFile(filepath.FromSlash(file))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read in the source", file)
	}
	return text, nil
}
