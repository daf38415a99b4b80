package images

import (
	"cmp"
	"regexp"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// maxTries is how many times an image may fail to be read, while others of the
// repository can be, before it counts as broken.
const maxTries = 3

// attached are the tags under which signatures, attestations and such are kept
// for an image: they are none themselves.
var attached = regexp.MustCompile(`^sha(256|512)-[0-9a-f]{64,128}(\.[A-Za-z0-9]+)?$`)

// facts are what the cache knows of a repository, read at once.
type facts struct {
	listing   cache.Listing
	digests   map[string]cache.Digest
	negatives map[string]cache.Negative
	image     func(digest string) (cache.Image, bool)
	trusted   bool // labels say when an image was made
}

func (s *Scanner) facts(k cache.Key) (f facts, ok bool) {
	c := s.opts.Cache
	s.mu.Lock()
	f.trusted = s.filter.trusts(k.String())
	s.mu.Unlock()
	f.image = c.Image
	f.digests, f.negatives = c.Digests(k), c.Negatives(k)
	f.listing, ok = c.Listing(k)
	return f, ok
}

// fact is what is known of one tag. Either its time is known, or it is missing
// and may become known, or there is a problem and it cannot.
type fact struct {
	digest  string
	time    time.Time
	from    string
	image   cache.Image // as far as it was read
	missing bool
	problem string // why there is no time, or why it is missing
}

// of returns what is known of t.
func (f facts) of(t registry.Tag) fact {
	a := fact{digest: t.Digest}
	if a.digest == "" {
		a.digest = f.digests[t.Name].Digest
	}
	if attached.MatchString(t.Name) {
		a.problem = "no image: it belongs to another one"
		return a
	}
	img, read := f.image(a.digest)
	if read {
		a.image = img
	}
	switch native := nativeTime(t); {
	case f.trusted && read && !labelled(img).IsZero():
		a.time, a.from = labelled(img), "label"
	case !native.IsZero() && (!f.trusted || read):
		a.time, a.from = native, nativeFrom(t)
	case read && len(img.Platforms) == 0:
		a.problem = "no image: " + img.MediaType
	case read && img.Created.IsZero():
		a.problem = noTime(img, labelled(img))
	case read:
		a.time, a.from = img.Created, imageFrom(img)
	default:
		f.absent(t.Name, &a)
	}
	return a
}

// absent tells why the image of a tag was not read.
func (f facts) absent(tag string, a *fact) {
	n := f.negatives[tag]
	a.problem = n.Reason
	a.missing = n.Reason == "" || n.Pending && n.Failures < maxTries
}

// noTime says why an image has no time. Its label would tell one if it were
// trusted, unless that is zero.
func noTime(img cache.Image, label time.Time) string {
	why := cmp.Or(img.CreatedFrom, "its image does not say when it was made")
	if !label.IsZero() {
		why += "; its label says " + label.UTC().Format(time.RFC3339) + ", which trust_labels would take"
	}
	return why
}

// nativeTime is when the registry says that the tag's image was made, else when
// it was pushed. Builds that set the time to about 1970 say nothing.
func nativeTime(t registry.Tag) time.Time {
	if plausible(t.Created) {
		return t.Created
	}
	if plausible(t.Pushed) {
		return t.Pushed
	}
	return time.Time{}
}

func nativeFrom(t registry.Tag) string {
	if plausible(t.Created) {
		return "registry"
	}
	return "push"
}

// imageFrom is where a time that was read with the image stands in it.
func imageFrom(img cache.Image) string {
	if strings.Contains(img.CreatedFrom, "annotation") {
		return "annotation"
	}
	return "config"
}

// plausible leaves out zero times and those that reproducible builds write:
// 1970, and 1980, where ZIP files begin.
func plausible(t time.Time) bool { return t.Year() > 1980 }

// labelled is the time in the labels of an image, zero if there is none.
func labelled(img cache.Image) time.Time {
	for _, name := range []string{"org.opencontainers.image.created", "org.label-schema.build-date"} {
		for _, set := range []map[string]string{img.Labels, img.Annotations} {
			if t, err := time.Parse(time.RFC3339, set[name]); err == nil {
				return t
			}
		}
	}
	return time.Time{}
}

// currentTag is the tag of a running image; without tag and digest it is the
// one that the kubelet takes, and with a digest alone there is none.
func currentTag(r ref.Ref) string {
	if r.Tag == "" && r.Digest == "" {
		return "latest"
	}
	return r.Tag
}
