package remote

import (
	"net/http"
	"strings"
)

// challenge is one way to authenticate, from a WWW-Authenticate header.
type challenge struct {
	scheme string            // in lower case: "bearer", "basic"
	params map[string]string // names in lower case
}

// maxChallenges bounds what is read of the headers of one answer.
const maxChallenges = 16

// parseChallenges reads all challenges of an answer (RFC 9110, section 11.6.1):
// several headers, several challenges in one, quoted and unquoted values. What
// cannot be read ends its header; what was read before it counts.
func parseChallenges(h http.Header) []challenge {
	var all []challenge
	for _, text := range h.Values("WWW-Authenticate") {
		all = append(all, parseHeader(text)...)
	}
	return all[:min(len(all), maxChallenges)]
}

func parseHeader(text string) []challenge {
	var found []challenge
	p := parser{text}
	for p.skip(" \t,"); p.rest != "" && len(found) < maxChallenges; p.skip(" \t,") {
		word := p.token()
		if word == "" {
			return found
		}
		spaced := p.skip(" \t")
		value, isParam := p.value()
		switch {
		case isParam && len(found) > 0:
			found[len(found)-1].params[strings.ToLower(word)] = value
		case isParam || !spaced && p.rest != "" && p.rest[0] != ',':
			return found // a parameter of nothing, or a word that ends in the middle
		default:
			found = append(found, challenge{strings.ToLower(word), map[string]string{}})
		}
	}
	return found
}

// parser reads text from its beginning.
type parser struct{ rest string }

// skip drops leading characters of set and reports whether there were any.
func (p *parser) skip(set string) bool {
	before := len(p.rest)
	p.rest = strings.TrimLeft(p.rest, set)
	return len(p.rest) < before
}

// token reads a word of RFC 9110, section 5.6.2.
func (p *parser) token() string {
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

// value reads `="value"` or `=value`, and reports whether it stood there.
func (p *parser) value() (string, bool) {
	rest, ok := strings.CutPrefix(p.rest, "=")
	if !ok {
		return "", false
	}
	p.rest = rest
	p.skip(" \t")
	if quoted, ok := strings.CutPrefix(p.rest, `"`); ok {
		p.rest = quoted
		return p.quoted(), true
	}
	end := strings.IndexAny(p.rest, " \t,")
	if end < 0 {
		end = len(p.rest)
	}
	value := p.rest[:end]
	p.rest = p.rest[end:]
	return value, true
}

// quoted reads up to the closing quote, or to the end where it is missing.
func (p *parser) quoted() string {
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '"':
			p.rest = p.rest[i+1:]
			return b.String()
		case '\\':
			if i++; i == len(p.rest) {
				continue
			}
		}
		b.WriteByte(p.rest[i])
	}
	p.rest = ""
	return b.String()
}
