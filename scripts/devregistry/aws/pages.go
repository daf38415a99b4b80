package aws

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"
)

// pages are what listings still have to give, by the token that was handed out
// for it. A token may be used again, as a client does that lost the answer.
type pages struct {
	mu   sync.Mutex
	rest map[string]remainder
}

type remainder struct {
	of    string // the listing it belongs to
	items any
	until time.Time
}

const (
	pageLife       = 10 * time.Minute
	defaultResults = 100
	maxResults     = 1000
)

// page gives one page: the first of list, or that of token. It is a function
// for the sake of its type parameter.
func page[T any](f *fake, results *int, token, of string, list func() ([]T, error)) (items []T, next string, err error) {
	size := defaultResults
	if results != nil {
		size = *results
	}
	if size < 1 || size > maxResults {
		return nil, "", invalid("Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must be between 1 and 1000'")
	}
	if token == "" {
		if items, err = list(); err != nil {
			return nil, "", err
		}
	} else {
		r, _ := f.pages.get(token)
		var ok bool
		if items, ok = r.items.([]T); !ok || r.of != of {
			return nil, "", invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'")
		}
	}
	if len(items) > size {
		next = f.pages.put(remainder{of, items[size:], time.Now().Add(pageLife)})
		items = items[:size]
	}
	return items, next, nil
}

func invalid(message string) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "InvalidParameterException", message: message}
}

func (p *pages) get(token string) (remainder, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.rest[token]
	return r, ok
}

func (p *pages) put(r remainder) (token string) {
	token = random(32)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rest == nil {
		p.rest = map[string]remainder{}
	}
	now := time.Now()
	for t, old := range p.rest {
		if now.After(old.until) {
			delete(p.rest, t)
		}
	}
	p.rest[token] = r
	return token
}

func sortedBy[T any, K cmp.Ordered](items []T, key func(T) K) []T {
	slices.SortFunc(items, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return items
}
