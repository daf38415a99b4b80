package cache

import (
	"errors"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// ErrClosed says that the cache was closed before.
var ErrClosed = errors.New("image cache: closed")

// Key is one repository as one credential sees it. Two consumers whose
// credentials differ never share what was found with either.
type Key struct {
	Host       string // canonical, as of ref.Ref.Host
	Repository string // canonical path, as of ref.Ref.Path
	Credential string // the ID of the credential, never its value; "" is anonymous
}

// String names the repository for a person.
func (k Key) String() string { return k.Host + "/" + k.Repository }

// Listing is a complete listing of a repository's tags.
type Listing struct {
	Tags    []registry.Tag // sorted by name, each name once
	At      time.Time      // when it was read last
	Changed time.Time      // when it was read first with these tags
	Native  bool           // read by an API that tells times
}

// Digest is what a tag pointed to.
type Digest struct {
	Tag     string
	Digest  string
	At      time.Time // when the registry said so last
	Changed time.Time // when the tag moved here, zero if unknown
	Moves   int       // how often the tag was seen to move
}

// Image is what is known of an image by its digest. It cannot change, so it is
// kept until there is no more room.
type Image struct {
	Digest      string            `json:"digest"` // of the index, if there is one
	MediaType   string            `json:"media_type,omitempty"`
	Created     time.Time         `json:"created,omitzero"`
	CreatedFrom string            `json:"created_from,omitempty"` // where Created stands, for a person
	Labels      map[string]string `json:"labels,omitempty"`       // of the config
	Annotations map[string]string `json:"annotations,omitempty"`  // of the index or manifest
	Platforms   []Platform        `json:"platforms,omitempty"`
}

// Platform is one image of an index, or the only one.
type Platform struct {
	OS           string `json:"os,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	Variant      string `json:"variant,omitempty"`
	OSVersion    string `json:"os_version,omitempty"`
	Digest       string `json:"digest,omitempty"` // of its manifest
}

// Negative is a failure that is not to be tried again until a time.
type Negative struct {
	Until    time.Time `json:"until"`
	Reason   string    `json:"reason,omitempty"`   // for a person
	Failures int       `json:"failures,omitempty"` // in a row, for the back-off
	Pending  bool      `json:"pending,omitempty"`  // it may still become known
}

// Repository is what the cache holds of one Key.
type Repository struct {
	Key     Key       `json:"-"`
	Tags    int       `json:"tags"`
	Bytes   int64     `json:"bytes"` // of the encoded listing
	At      time.Time `json:"at,omitzero"`
	Changed time.Time `json:"changed,omitzero"`
	Native  bool      `json:"native,omitempty"`
	Seen    time.Time `json:"seen"` // when anything of it was written last
}

// Stats tells what is in the cache and how well it serves.
type Stats struct {
	File      string `json:"file"`
	FileBytes int64  `json:"file_bytes"` // on disk
	UsedBytes int64  `json:"used_bytes"` // of them, in use; the rest is reused
	MaxBytes  int64  `json:"max_bytes"`

	Listings  Count `json:"listings"`
	Tags      int   `json:"tags"` // in all listings
	Digests   Count `json:"digests"`
	Images    Count `json:"images"`
	Negatives Count `json:"negatives"`

	// Oldest is when the repository was seen whose turn it is next to be
	// evicted.
	Oldest time.Time `json:"oldest,omitzero"`

	// Since the cache was opened:

	Hits    uint64 `json:"hits"`
	Misses  uint64 `json:"misses"`
	Evicted uint64 `json:"evicted"` // records removed for room
	Damaged uint64 `json:"damaged"` // records that could not be read

	// WriteError is why the newest write failed, "" if it did not. What was
	// not written is served from memory and tried again.
	WriteError string `json:"write_error,omitempty"`
}

// Count is how much there is of one kind of record.
type Count struct {
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
}
