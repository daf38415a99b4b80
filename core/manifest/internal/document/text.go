package document

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"unicode/utf16"
	"unicode/utf8"
)

// BOM is the byte order mark of UTF-8.
const BOM = "\xef\xbb\xbf"

var (
	utf16LE = []byte{0xff, 0xfe}
	utf16BE = []byte{0xfe, 0xff}
)

// Encoding is how the bytes of a file say its text.
type Encoding int

// The encodings, by the byte order mark that a file begins with.
const (
	UTF8 Encoding = iota
	UTF8BOM
	UTF16LE
	UTF16BE
)

// EncodingOf returns the encoding of a file.
func EncodingOf(data []byte) Encoding {
	switch {
	case bytes.HasPrefix(data, []byte(BOM)):
		return UTF8BOM
	case bytes.HasPrefix(data, utf16LE):
		return UTF16LE
	case bytes.HasPrefix(data, utf16BE):
		return UTF16BE
	}
	return UTF8
}

// Bytes returns the file that has the text, the opposite of Text.
func (e Encoding) Bytes(text []byte) []byte {
	switch e {
	case UTF8BOM:
		return append([]byte(BOM), text...)
	case UTF16LE:
		return toUTF16(text, utf16LE, binary.LittleEndian)
	case UTF16BE:
		return toUTF16(text, utf16BE, binary.BigEndian)
	}
	return text
}

func toUTF16(text, mark []byte, order binary.AppendByteOrder) []byte {
	units := utf16.Encode([]rune(string(text)))
	data := make([]byte, 0, 2+2*len(units))
	data = append(data, mark...)
	for _, u := range units {
		data = order.AppendUint16(data, u)
	}
	return data
}

// Text returns the text of a file: without a byte order mark, and converted
// from UTF-16 where the mark says so. line is where an encoding error is.
func Text(data []byte) (text []byte, line int, err error) {
	switch {
	case bytes.HasPrefix(data, []byte(BOM)):
		data = data[len(BOM):]
	case bytes.HasPrefix(data, utf16LE):
		return fromUTF16(data[2:], binary.LittleEndian), 0, nil
	case bytes.HasPrefix(data, utf16BE):
		return fromUTF16(data[2:], binary.BigEndian), 0, nil
	}
	at := invalidUTF8(data)
	if at < 0 {
		return data, 0, nil
	}
	return nil, 1 + lineBreaks(data[:at]), fmt.Errorf("byte 0x%02x at offset %d is not UTF-8", data[at], at)
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

// fromUTF16 converts data; half a character at the end is dropped, and what is
// no character becomes U+FFFD.
func fromUTF16(data []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}

// Chunk is a part of a file that holds one document.
type Chunk struct {
	Text []byte // part of the file's text, not a copy
	Line int    // of its first line in the file, from 1
}

// Split cuts a YAML stream into its documents, so that an error in one leaves
// the others alone. A line that begins with --- or ... ends a document
// wherever it stands, even inside of a block or quoted scalar: YAML says so.
// The --- stays with the document that it begins.
func Split(text []byte) iter.Seq[Chunk] {
	return func(yield func(Chunk) bool) {
		begin, beginLine := 0, 1
		line := 0
		for at := 0; at < len(text); {
			line++
			end := at + LineLength(text[at:])
			cut := -1
			switch {
			case isMarker(text[at:end], "---"):
				cut = at
			case isMarker(text[at:end], "..."):
				cut = end
			}
			if cut > begin {
				if !yield(Chunk{text[begin:cut], beginLine}) {
					return
				}
				begin, beginLine = cut, line
				if cut == end {
					beginLine++
				}
			}
			at = end
		}
		if begin < len(text) {
			yield(Chunk{text[begin:], beginLine})
		}
	}
}

// LineLength returns the length of the first line of text, its end included.
// Lines end as YAML says: by LF, CR LF, or CR alone.
func LineLength(text []byte) int {
	i := bytes.IndexAny(text, "\r\n")
	if i < 0 {
		return len(text)
	}
	if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
		return i + 2
	}
	return i + 1
}

// isMarker reports whether line is a document marker.
func isMarker(line []byte, marker string) bool {
	if !bytes.HasPrefix(line, []byte(marker)) {
		return false
	}
	return len(line) == len(marker) || bytes.IndexByte([]byte(" \t\r\n"), line[len(marker)]) >= 0
}

// Empty reports whether a chunk holds nothing but blank lines, comments,
// directives and markers.
func (c Chunk) Empty() bool {
	text := c.Text
	for len(text) > 0 {
		n := LineLength(text)
		line := bytes.TrimSpace(text[:n])
		if isMarker(line, "---") || isMarker(line, "...") {
			line = bytes.TrimSpace(line[3:])
		}
		if len(line) > 0 && line[0] != '#' && text[0] != '%' {
			return false
		}
		text = text[n:]
	}
	return true
}
