// Package record keeps what was asked for, so that a test can count it.
package record

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Entry is one request that was answered.
type Entry struct {
	Time   time.Time `json:"time"` // when it came
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Query  string    `json:"query,omitempty"`
	Class  Class     `json:"class"`
	Status int       `json:"status"`
	Bytes  int64     `json:"bytes"`          // of the answer's body
	Auth   string    `json:"auth"`           // none, basic or bearer
	User   string    `json:"user,omitempty"` // the subject, if it is a bearer token with one
}

// Class tells requests apart by what they are for.
type Class string

// The classes.
const (
	Ping         Class = "ping"
	Token        Class = "token"
	Tags         Class = "tags"
	ManifestHead Class = "manifest-head"
	ManifestGet  Class = "manifest-get"
	Blob         Class = "blob"
	Native       Class = "native" // a listing API of the registry's own
	Cloud        Class = "cloud"  // an endpoint of a cloud
	Push         Class = "push"   // any write
	Other        Class = "other"
)

// Log is a ring of entries. The zero Log keeps none; it is safe for concurrent
// use.
type Log struct {
	mu      sync.Mutex
	size    int
	entries []Entry
	next    int // where the oldest stands, once the ring is full
}

// NewLog returns a log of the last size entries.
func NewLog(size int) *Log { return &Log{size: size} }

// Add appends an entry and forgets the oldest one if there are too many.
func (l *Log) Add(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.entries) < l.size:
		l.entries = append(l.entries, e)
	case l.size > 0:
		l.entries[l.next] = e
		l.next = (l.next + 1) % l.size
	}
}

// Entries returns all entries in the order in which they were answered.
func (l *Log) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Entry, 0, len(l.entries))
	return append(append(out, l.entries[l.next:]...), l.entries[:l.next]...)
}

// Reset forgets all entries.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.next = l.entries[:0], 0
}

// Handler records what next answers. class tells what a request is for.
func (l *Log) Handler(class func(*http.Request) Class, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := Entry{
			Time: time.Now().UTC(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Class: class(r),
		}
		e.Auth, e.User = authOf(r)
		c := &counter{ResponseWriter: w}
		// Deferred, because a cut answer ends in a panic.
		defer func() {
			e.Status, e.Bytes = c.result()
			l.Add(e)
		}()
		next.ServeHTTP(c, r)
	})
}

func authOf(r *http.Request) (kind, user string) {
	if user, _, ok := r.BasicAuth(); ok {
		return "basic", user
	}
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "bearer") {
		return "bearer", subject(token)
	}
	return "none", ""
}

// subject returns whom a JSON web token says it is for. Nothing is verified.
func subject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var c struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(claims, &c) != nil {
		return ""
	}
	return c.Subject
}

type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (c *counter) result() (status int, bytes int64) {
	if c.status == 0 {
		return http.StatusOK, c.bytes
	}
	return c.status, c.bytes
}

func (c *counter) WriteHeader(status int) {
	if c.status == 0 && status >= http.StatusOK {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
