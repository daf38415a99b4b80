package cache

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

var errEncoding = errors.New("not as it was written")

// How the digest of a record is written.
const (
	digestNone = iota
	digestSHA256
	digestSHA512
	digestText // anything else: its length and itself
)

const (
	sha256Prefix = "sha256:"
	sha512Prefix = "sha512:"
	maxDigest    = 256 // bytes of a digest as text
)

// shortDigest returns how digest is written and its bytes: half as many as
// letters for those that everybody uses. One that is too long for a digest is
// written as none.
func shortDigest(digest string) (form byte, data []byte) {
	if data, ok := hexDigest(digest, sha256Prefix, 32); ok {
		return digestSHA256, data
	}
	if data, ok := hexDigest(digest, sha512Prefix, 64); ok {
		return digestSHA512, data
	}
	if digest == "" || len(digest) > maxDigest {
		return digestNone, nil
	}
	return digestText, append(binary.AppendUvarint(nil, uint64(len(digest))), digest...)
}

// hexDigest returns the size bytes of a digest in lower-case letters.
func hexDigest(digest, prefix string, size int) ([]byte, bool) {
	text, ok := strings.CutPrefix(digest, prefix)
	if !ok || len(text) != 2*size || strings.ToLower(text) != text {
		return nil, false
	}
	data, err := hex.DecodeString(text)
	return data, err == nil
}

// times writes times as differences in seconds to the one before, which are
// small between neighbours, and fractions of seconds where there are any.
type times struct{ last int64 }

// The years that RFC 3339 can say; others are written as unknown.
var (
	minTime = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC).Unix()
	maxTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

func storable(t time.Time) bool {
	return !t.IsZero() && t.Unix() >= minTime && t.Unix() <= maxTime
}

func (ts *times) append(b []byte, t time.Time) []byte {
	seconds := t.Unix()
	b = binary.AppendVarint(b, seconds-ts.last)
	ts.last = seconds
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

func (ts *times) read(r *reader) time.Time {
	seconds, nanos := ts.last+r.varint(), r.uvarint()
	if seconds < minTime || seconds > maxTime || nanos > 999_999_999 {
		r.fail("time %d.%d", seconds, nanos)
		return time.Time{}
	}
	ts.last = seconds
	return time.Unix(seconds, int64(nanos)).UTC()
}

// reader reads what may be damaged. After the first failure it returns zeros.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{errEncoding}, args...)...)
		r.data = nil
	}
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.data)
	if size <= 0 {
		r.fail("number")
		return 0
	}
	r.data = r.data[size:]
	return n
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.data)
	if size <= 0 {
		r.fail("number")
		return 0
	}
	r.data = r.data[size:]
	return n
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// bytes returns the next n bytes, or nil.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.data)) {
		r.fail("%d bytes of %d", n, len(r.data))
		return nil
	}
	data := r.data[:n]
	r.data = r.data[n:]
	return data
}

// appendDigest reads a digest of the form and appends its text to buf.
func (r *reader) appendDigest(buf []byte, form byte) []byte {
	switch form {
	case digestNone:
		return buf
	case digestSHA256:
		return hex.AppendEncode(append(buf, sha256Prefix...), r.bytes(32))
	case digestSHA512:
		return hex.AppendEncode(append(buf, sha512Prefix...), r.bytes(64))
	case digestText:
		n := r.uvarint()
		if n == 0 || n > maxDigest {
			r.fail("digest of %d bytes", n)
			return buf
		}
		return append(buf, r.bytes(n)...)
	default:
		r.fail("digest of form %d", form)
		return buf
	}
}
