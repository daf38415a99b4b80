package remote

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

var digestForm = regexp.MustCompile(`^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)

func validDigest(s string) bool { return digestForm.MatchString(s) }

// digestOf returns the digest of content, by the algorithm of the digest like.
func digestOf(content []byte, like string) string {
	if strings.HasPrefix(like, "sha512:") {
		sum := sha512.Sum512(content)
		return "sha512:" + hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// verify checks content against the digest that it was asked for by.
func verify(content []byte, digest string) error {
	if got := digestOf(content, digest); got != digest {
		return fmt.Errorf("the content has the digest %s, not %s", got, digest)
	}
	return nil
}
