package remote

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// nextLink returns the target of the Link header with rel=next (RFC 8288), ""
// if there is none.
func nextLink(h http.Header) string {
	for _, text := range h.Values("Link") {
		for rest := text; ; {
			_, after, ok := strings.Cut(rest, "<")
			if !ok {
				break
			}
			target, params, ok := strings.Cut(after, ">")
			if !ok {
				break
			}
			next, following := linkIsNext(params)
			if next {
				return target
			}
			rest = following
		}
	}
	return ""
}

// linkIsNext reads the parameters of one link, and returns what follows it.
func linkIsNext(params string) (next bool, following string) {
	p := parser{params}
	for p.skip(" \t;"); p.rest != "" && p.rest[0] != ','; p.skip(" \t;") {
		name := p.token()
		p.skip(" \t")
		value, ok := linkValue(&p)
		if name == "" && !ok {
			return next, "" // not a link header any more
		}
		if strings.EqualFold(name, "rel") {
			for _, rel := range strings.Fields(value) {
				next = next || strings.EqualFold(rel, "next")
			}
		}
	}
	return next, p.rest
}

// linkValue reads a parameter's value, which ends at a semicolon too.
func linkValue(p *parser) (string, bool) {
	if !strings.HasPrefix(p.rest, "=") || strings.HasPrefix(strings.TrimLeft(p.rest[1:], " \t"), `"`) {
		return p.value()
	}
	end := strings.IndexAny(p.rest, ";, \t")
	if end < 0 {
		end = len(p.rest)
	}
	value := p.rest[1:end]
	p.rest = p.rest[end:]
	return value, true
}

// maxLink bounds addresses of pages, which are all remembered for one listing.
const maxLink = 4096

// follow resolves where a listing goes on. It goes on at the same host: a URL
// elsewhere would get what was meant for this one. A registry behind another
// name or a proxy may write its public name, and http where that was https.
func (t *target) follow(current *url.URL, link string) (*url.URL, error) {
	if len(link) > maxLink {
		return nil, fmt.Errorf("the address of the next page is longer than %d bytes", maxLink)
	}
	ref, err := url.Parse(link)
	if err != nil {
		return nil, fmt.Errorf("the next page has no valid address: %w", bare(err))
	}
	next := current.ResolveReference(ref)
	if host := withoutPort(next); host != withoutPort(current) && host != t.req.Host {
		return nil, fmt.Errorf("the next page is at another host, %s://%s", next.Scheme, next.Host)
	}
	next.Scheme, next.Host = current.Scheme, current.Host
	next.User, next.Fragment = nil, ""
	return next, nil
}

// withoutPort is the host of a URL, without the port that its scheme has anyway.
func withoutPort(u *url.URL) string {
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return u.Hostname()
	}
	return u.Host
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }
