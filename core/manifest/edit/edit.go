// Package edit changes manifests byte by byte.
//
// Scan tells where the images of a file are: containers and init containers of
// workloads, values of Helm releases, images of declared kinds, entries of
// kustomizations, and scalars with a marker behind them. Apply changes them,
// and annotations.
//
// What differs afterwards are the bytes of the changed scalar, or an inserted
// or removed entry of a mapping, and nothing else: comments, quotes,
// indentation, line endings, a byte order mark, and a missing last line end
// stay. A scalar keeps its style, unless a plain one would be no string any
// more: then it gets quotes.
//
// Each result is parsed again and compared with what was meant. An edit whose
// result differs anywhere else is refused with a *RefusedError; so is one that
// would change another place as well, since an anchor is used there.
package edit

import (
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Options says how files are read. The zero value reads what is built in.
type Options struct {
	Namespace string // of objects that name none; "" is "default"
	Kinds     []Kind // whose images are found beside those of the built-in kinds

	// Values is the ID of a Helm release that the files are values of: each
	// holds one mapping of them, and no objects. The release is a Workload of
	// each file, with the images that stand there. Of several files, in the
	// order of TreeOptions.Paths, later ones win.
	Values string
}

// Kind tells where the objects of a kind have their images. Paths are dotted,
// begin at the object, and may say [*], [2] or ["a.b"] after a name:
// spec.tasks[*].container.
type Kind struct {
	Group, Kind    string
	Containers     []string          // paths of lists of {name, image}, or of one such mapping
	InitContainers []string          // the same
	Images         map[string]string // container name -> path of an image
}

// CheckPath says what is wrong with a path of a Kind.
func CheckPath(p string) error {
	_, err := parsePath(p)
	return err
}

// How a Container's image is written.
const (
	FormContainer = "container" // in one scalar, in a pod's specification
	FormValues    = "values"    // of a Helm release, found by their shape
	FormAlias     = "alias"     // in values, found by annotations
	FormKind      = "kind"      // at a path of a declared Kind
)

// Workload is an object that runs images.
type Workload struct {
	ID          string            `json:"workload"` // namespace:kind/name, kind in lower case
	Ref         applier.Ref       `json:"-"`        // with its namespace filled in
	File        string            `json:"-"`        // relative to the tree's root, with slashes; "" in Scan
	Line        int               `json:"-"`        // of its first key, from 1
	Annotations map[string]string `json:"-"`        // its own, not those of its pods
	Containers  []Container       `json:"containers"`

	// Sets are, of a file of values, the lines at which it says something of an
	// image, by the name of the container, even if that is no whole image: it
	// replaces what weaker values say.
	Sets map[string]int `json:"-"`
}

// Container is a place with an image. Init containers come last.
type Container struct {
	Name  string `json:"name"`
	Image string `json:"image"` // as it is written, put together where it stands in parts
	Init  bool   `json:"init"`
	Line  int    `json:"-"`
	File  string `json:"-"` // that Line is of; "" = that of the workload
	Form  string `json:"-"`
	// Fixed says why the image cannot be changed, where somebody who composes
	// workloads of several files knows; "" if it can.
	Fixed string `json:"-"`
	// Markers are those that stand at its fields, in the file of the workload;
	// their own File is empty.
	Markers []Marker `json:"-"`
}

// Marker is a scalar with a comment that tells which policy updates it:
// # {"$sluice": "NAME[:PART]"}, or Flux 2's {"$imagepolicy": "NS:NAME[:PART]"}.
type Marker struct {
	Policy string // NAME, or NS:NAME
	Part   string // "name", "tag", "digest", or "" for the whole reference
	Value  string
	File   string
	Line   int
	Flux   bool // it is an $imagepolicy
}

// KustomizeImage is an entry of the images of a kustomization.
type KustomizeImage struct {
	Name, NewName, NewTag, Digest string
	File                          string
	Line                          int
	Nth                           int      // of the entries of this Name in the file, from 1
	Markers                       []Marker // that stand at its fields; their File is empty
}

// Found is what files hold. It is shared: do not change it.
type Found struct {
	Workloads []Workload
	Markers   []Marker
	Kustomize []KustomizeImage
	Problems  diag.List // each with a Subject
}

// Edit is one intention, in exactly one of these forms:
//
//   - Workload, Container and Image: a container's image. Of several files of
//     values it is the one that wins;
//   - Workload with Set, Remove or both: annotations;
//   - Marker and Image: each scalar with the marker, which gets its part;
//   - Kustomize and Image: the entries of that name or newName that make the
//     image From of it. Without From, those that make an image of the same name
//     as Image, or add no newName. The others are left alone: one name stands
//     for different images in different kustomizations. File and Nth say which
//     entry alone is meant;
//   - Kustomize, Image and Add: the entry of exactly that name, as the base
//     writes it. If the kustomization has none, it gets one, at the end of its
//     images; From is then not asked for. This is for Apply: a Tree cannot tell
//     which of its kustomizations is meant.
//
// Its JSON form is stable, so that it can be kept.
type Edit struct {
	Workload  string            `json:"workload,omitempty"` // an ID; without a namespace, that of Options
	Container string            `json:"container,omitempty"`
	Image     string            `json:"image,omitempty"` // name[:tag][@digest], as to be written
	From      string            `json:"from,omitempty"`  // the image that is expected; "" = any
	Set       map[string]string `json:"set,omitempty"`   // annotations
	Remove    []string          `json:"remove,omitempty"`
	Marker    string            `json:"marker,omitempty"` // Policy of a Marker
	Flux      bool              `json:"flux,omitempty"`   // of the Marker
	Kustomize string            `json:"kustomize,omitempty"`
	File      string            `json:"file,omitempty"` // of the entry; "" = any; Apply has but one
	Nth       int               `json:"nth,omitempty"`  // of the entries whose name is Kustomize in a file; 0 = all
	Add       bool              `json:"add,omitempty"`
}

// Scan tells what one file holds, which may also be one JSON object. What is
// wrong with it is in Problems, and the rest is found all the same. Documents
// that hold nothing that Found could name may go unread, mistakes included.
func Scan(data []byte, o Options) Found {
	return scan(data, o, newScreen(o)).found
}

// Apply makes edits of one file. errs[i] belongs to edits[i]; an edit that
// fails changes nothing and leaves the others. An edit whose result is there
// already is no error. Without any change result is data.
//
// The errors are ErrNotFound, *ChangedError, *RefusedError, or say what is
// wrong with the Edit itself.
func Apply(data []byte, o Options, edits []Edit) (result []byte, errs []error) {
	a := newApplication(data, o, edits)
	a.run()
	return a.result, a.errs
}
