package cache

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// maxTag is how long the tag of a reference can be, in bytes.
const maxTag = 128

// What the byte before the parts of a tag says. The lowest two bits are the
// form of its digest.
const (
	formOfDigest = 0b11
	hasPushed    = 1 << 2
	hasCreated   = 1 << 3
	knownFlags   = 1<<4 - 1
)

// listingVersion begins an encoded listing.
const listingVersion = 1

// minTagBytes is what a tag takes at least: two lengths and the flags.
const minTagBytes = 3

// normal returns the tags as a Listing promises them: by name, each once, the
// last one of those with the same name, and without names that no reference
// can have.
func normal(tags []registry.Tag) []registry.Tag {
	sorted := slices.DeleteFunc(slices.Clone(tags), func(t registry.Tag) bool { return t.Name == "" || len(t.Name) > maxTag })
	slices.SortStableFunc(sorted, func(a, b registry.Tag) int { return strings.Compare(a.Name, b.Name) })
	unique := sorted[:0]
	for i, t := range sorted {
		if i+1 == len(sorted) || sorted[i+1].Name != t.Name {
			unique = append(unique, t)
		}
	}
	return unique
}

// encodeTags writes normal tags: of a name only what differs from the one
// before, digests as bytes, times as differences. Equal tags give equal bytes.
func encodeTags(tags []registry.Tag) []byte {
	b := make([]byte, 0, 64*len(tags)) // enough for names, digests and times
	b = binary.AppendUvarint(append(b, listingVersion), uint64(len(tags)))
	var pushed, created times
	last := ""
	for _, t := range tags {
		shared := sharedPrefix(last, t.Name)
		b = binary.AppendUvarint(b, uint64(shared))
		b = binary.AppendUvarint(b, uint64(len(t.Name)-shared))
		b = append(b, t.Name[shared:]...)
		last = t.Name
		flags, digest := shortDigest(t.Digest)
		if storable(t.Pushed) {
			flags |= hasPushed
		}
		if storable(t.Created) {
			flags |= hasCreated
		}
		b = append(append(b, flags), digest...)
		if flags&hasPushed != 0 {
			b = pushed.append(b, t.Pushed)
		}
		if flags&hasCreated != 0 {
			b = created.append(b, t.Created)
		}
	}
	return b
}

func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// decodeTags reads what encodeTags wrote, and refuses everything else. The
// strings of all tags share two pieces of memory.
func decodeTags(data []byte) ([]registry.Tag, error) {
	r := &reader{data: data}
	if v := r.byte(); v != listingVersion {
		r.fail("version %d", v)
	}
	n := r.uvarint()
	if n > uint64(len(r.data))/minTagBytes {
		r.fail("%d tags in %d bytes", n, len(r.data))
	}
	if r.err != nil {
		return nil, r.err
	}
	d := tagDecoder{reader: r, tags: make([]registry.Tag, n), spans: make([]span, n), names: make([]byte, 0, 2*len(data)),
		digests: make([]byte, 0, roomForDigests(n, len(data)))}
	for i := range d.tags {
		d.tag(i)
	}
	if len(r.data) != 0 {
		r.fail("%d bytes too many", len(r.data))
	}
	if r.err != nil {
		return nil, r.err
	}
	return d.finish(), nil
}

// roomForDigests guesses how long the texts of the digests of n tags are. It is
// right if all have one, which takes 33 bytes to write, or none.
func roomForDigests(n uint64, encoded int) uint64 {
	if uint64(encoded) < 33*n {
		return 0
	}
	return uint64(len(sha256Prefix)+64) * n
}

// tagDecoder collects the texts of all tags before it makes strings of them.
type tagDecoder struct {
	*reader
	tags            []registry.Tag
	spans           []span
	names, digests  []byte
	last            int // where the name before begins
	pushed, created times
}

// span is where the texts of a tag end; they begin where the last ones end.
type span struct{ name, digest int }

func (d *tagDecoder) tag(i int) {
	begin := len(d.names)
	d.name(i)
	flags := d.byte()
	if flags > knownFlags {
		d.fail("flags %#x", flags)
	}
	d.digests = d.appendDigest(d.digests, flags&formOfDigest)
	d.tags[i].Pushed = d.time(flags&hasPushed != 0, &d.pushed)
	d.tags[i].Created = d.time(flags&hasCreated != 0, &d.created)
	d.spans[i] = span{name: len(d.names), digest: len(d.digests)}
	d.last = begin
}

// name reads a name, which has to follow the one before in their order.
func (d *tagDecoder) name(i int) {
	before := d.names[d.last:]
	shared, more := d.uvarint(), d.uvarint()
	if shared > uint64(len(before)) || more == 0 || more > maxTag || shared+more > maxTag {
		d.fail("tag %d", i)
		return
	}
	begin := len(d.names)
	d.names = append(d.names, before[:shared]...)
	d.names = append(d.names, d.bytes(more)...)
	if d.err == nil && i > 0 && string(d.names[begin:]) <= string(before) {
		d.fail("tag %d is not in order", i)
	}
}

func (d *tagDecoder) time(has bool, ts *times) time.Time {
	if !has {
		return time.Time{}
	}
	return ts.read(d.reader)
}

func (d *tagDecoder) finish() []registry.Tag {
	names, digests := string(d.names), string(d.digests)
	var begin span
	for i, end := range d.spans {
		d.tags[i].Name, d.tags[i].Digest = names[begin.name:end.name], digests[begin.digest:end.digest]
		begin = end
	}
	return d.tags
}
