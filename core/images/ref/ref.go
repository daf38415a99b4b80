// Package ref reads image references the way the kubelet does, by the grammar
// of github.com/distribution/reference, and keeps what was written: an edit
// that swaps the tag of "nginx:1.27" gives "nginx:1.28", not
// "docker.io/library/nginx:1.28".
//
// The canonical form is the one of Flux v1, in which two spellings of one
// repository are equal: Docker Hub is "index.docker.io", its official images
// are below "library/", and a digest is left out.
package ref

import (
	"strings"

	"github.com/distribution/reference"
)

// DockerHub is the canonical host of Docker Hub.
const DockerHub = "index.docker.io"

// Ref is an image reference, each part as it was written and empty if it was
// not. Parse returns valid ones only.
type Ref struct {
	Domain     string // registry host, with port; empty is Docker Hub
	Repository string // path within the registry
	Tag        string
	Digest     string // algorithm:hex
}

// Parse reads a reference: [DOMAIN/]REPOSITORY[:TAG][@DIGEST]. The first
// element of a path is the domain if it has a dot, a colon or a capital
// letter, or is "localhost". Its error says what is wrong with which part.
func Parse(s string) (Ref, error) {
	if _, err := reference.ParseNormalizedNamed(s); err != nil {
		return Ref{}, explain(s, err)
	}
	return split(s), nil
}

// split takes s apart at the same places as the grammar does. It does not
// judge the parts.
func split(s string) Ref {
	var r Ref
	name, digest, _ := strings.Cut(s, "@")
	r.Digest = digest
	if first, rest, ok := strings.Cut(name, "/"); ok && isDomain(first) {
		r.Domain, name = first, rest
	}
	r.Repository, r.Tag, _ = strings.Cut(name, ":")
	return r
}

func isDomain(first string) bool {
	return first == "localhost" || strings.ContainsAny(first, ".:") || strings.ToLower(first) != first
}

// String returns the reference exactly as Parse got it.
func (r Ref) String() string {
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// Name returns the reference as written, without tag and digest.
func (r Ref) Name() string {
	if r.Domain == "" {
		return r.Repository
	}
	return r.Domain + "/" + r.Repository
}

// Host returns the canonical host of the registry, with its port if it has
// one: "index.docker.io" for every spelling of Docker Hub, else the domain in
// lower case, as host names are equal in either. Only "Team/app" keeps its
// capital, without which it would be a path.
func (r Ref) Host() string {
	switch host := strings.ToLower(r.Domain); {
	case host == "", host == "docker.io", host == "registry-1.docker.io":
		return DockerHub
	case isDomain(host):
		return host
	default:
		return r.Domain
	}
}

// Path returns the canonical path within the registry: "library/nginx" for
// Docker Hub's "nginx".
func (r Ref) Path() string {
	if r.Host() == DockerHub && !strings.Contains(r.Repository, "/") {
		return "library/" + r.Repository
	}
	return r.Repository
}

// Same reports whether two references name the same image, however they are
// spelled. Texts that are no references name none.
func Same(a, b string) bool {
	x, errX := Parse(a)
	y, errY := Parse(b)
	return errX == nil && errY == nil && x.CanonicalName() == y.CanonicalName() && x.Tag == y.Tag && x.Digest == y.Digest
}

// CanonicalName returns host and path, such as
// "index.docker.io/library/nginx": equal for all spellings of a repository.
func (r Ref) CanonicalName() string { return r.Host() + "/" + r.Path() }

// Canonical returns the canonical name with the tag, if there is one, and
// without the digest.
func (r Ref) Canonical() string {
	if r.Tag == "" {
		return r.CanonicalName()
	}
	return r.CanonicalName() + ":" + r.Tag
}

// WithTag returns r with another tag and without a digest, which would pin it
// to the old image. Everything else stays as written.
func (r Ref) WithTag(tag string) Ref {
	r.Tag, r.Digest = tag, ""
	return r
}
