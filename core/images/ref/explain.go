package ref

import (
	// The algorithms of digests; the grammar knows those that are linked.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/distribution/reference"
)

const (
	maxTag     = 128
	maxShown   = 100 // bytes of what a stranger wrote that an error repeats
	hexLetters = "0123456789abcdef"
)

var (
	component = whole(`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`)
	domain    = whole(reference.DomainRegexp.String())
	tag       = whole(reference.TagRegexp.String())
)

func whole(form string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + form + `)$`) }

// explain turns "invalid reference format" into what is wrong with which part.
func explain(s string, cause error) error {
	if err := diagnose(s); err != nil {
		cause = err
	}
	return fmt.Errorf("image %s: %w", show(s), cause)
}

// diagnose returns the first mistake that it finds in s, from left to right,
// or nil if it finds none.
func diagnose(s string) error {
	switch {
	case s == "":
		return errors.New("empty")
	case !utf8.ValidString(s):
		return errors.New("not UTF-8")
	case strings.ContainsAny(s, " \t\r\n"):
		return errors.New("holds a space or a line end")
	case strings.Contains(s, "://"):
		return errors.New("is a URL: leave out the scheme")
	case len(s) == 64 && strings.Trim(s, hexLetters) == "":
		return errors.New("64 hexadecimal digits are an image ID, not a repository")
	}
	name, digest, pinned := strings.Cut(s, "@")
	if first, rest, ok := strings.Cut(name, "/"); ok && isDomain(first) {
		if !domain.MatchString(first) {
			return fmt.Errorf("registry %s: not a host name with or without a port", show(first))
		}
		name = rest
	}
	if err := diagnoseName(name); err != nil {
		return err
	}
	if pinned {
		return diagnoseDigest(digest)
	}
	return nil
}

// diagnoseName looks at the path and the tag.
func diagnoseName(name string) error {
	path, version, tagged := strings.Cut(name, ":")
	switch {
	case path == "":
		return errors.New("there is no repository")
	case strings.HasPrefix(path, "/"):
		return errors.New("the repository begins with a slash")
	case strings.HasSuffix(path, "/"):
		return errors.New("the repository ends with a slash")
	case len(path) > reference.RepositoryNameTotalLengthMax:
		return fmt.Errorf("the repository has %d characters, more than %d", len(path), reference.RepositoryNameTotalLengthMax)
	case strings.ToLower(path) != path:
		return fmt.Errorf("repository %s: capital letters are not allowed", show(path))
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" {
			return fmt.Errorf("repository %s: two slashes in a row", show(path))
		}
		if !component.MatchString(part) {
			return fmt.Errorf("repository %s: %s may only have a-z, 0-9 and, between them, one of . _ __ or dashes", show(path), show(part))
		}
	}
	if tagged {
		return diagnoseTag(version)
	}
	return nil
}

func diagnoseTag(version string) error {
	switch {
	case version == "":
		return errors.New("the tag after the colon is empty")
	case strings.Contains(version, "/"):
		return fmt.Errorf("tag %s: has a slash; a port is allowed only after the registry's name", show(version))
	case strings.Contains(version, ":"):
		return fmt.Errorf("tag %s: there is more than one colon", show(version))
	case len(version) > maxTag:
		return fmt.Errorf("tag %s: %d characters, more than %d", show(version), len(version), maxTag)
	case !tag.MatchString(version):
		return fmt.Errorf("tag %s: may only have A-Z, a-z, 0-9, _ and, not at its beginning, . and -", show(version))
	default:
		return nil
	}
}

func diagnoseDigest(digest string) error {
	algorithm, sum, ok := strings.Cut(digest, ":")
	size, known := map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm]
	switch {
	case digest == "":
		return errors.New("the digest after the @ is empty")
	case !ok:
		return fmt.Errorf("digest %s: has no algorithm such as sha256: before it", show(digest))
	case !known:
		return fmt.Errorf("digest %s: unknown algorithm %s", show(digest), show(algorithm))
	case len(sum) != size:
		return fmt.Errorf("digest %s: %d characters after %s:, not %d", show(digest), len(sum), algorithm, size)
	case strings.Trim(sum, hexLetters) != "":
		return fmt.Errorf("digest %s: not hexadecimal in lower case", show(digest))
	default:
		return nil
	}
}

// show quotes s, cut where it gets long.
func show(s string) string {
	if len(s) > maxShown {
		return fmt.Sprintf("%q...", strings.ToValidUTF8(s[:maxShown], ""))
	}
	return fmt.Sprintf("%q", s)
}
