package front

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/record"
)

// Fault changes the answers to some requests.
type Fault struct {
	Class record.Class `json:"class"` // "": any
	Path  string       `json:"path"`  // regular expression, found anywhere in the path; "": any
	Skip  int          `json:"skip"`  // how many matching requests pass first
	Count int          `json:"count"` // how many are hit after these; 0: all

	Status int               `json:"status"` // 0: what the registry says
	Header map[string]string `json:"header"` // added to the answer, or in place of what the registry says
	Body   string            `json:"body"`   // with Status
	Delay  Duration          `json:"delay"`  // before the answer
	Cut    bool              `json:"cut"`    // send the header and half of the body, then close the connection
}

// Duration is a time.Duration that is text in JSON, "100ms".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// MarshalText is the inverse of UnmarshalText.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// faults are the faults that are set. The zero value has none.
type faults struct {
	mu  sync.Mutex
	set []*matcher
}

type matcher struct {
	Fault
	path *regexp.Regexp
	seen int
}

// SetFaults replaces all faults. The first that matches a request hits it.
func (f *Front) SetFaults(set []Fault) error {
	var matchers []*matcher
	for _, fault := range set {
		path, err := regexp.Compile(fault.Path)
		if err != nil {
			return fmt.Errorf("the path of a fault: %w", err)
		}
		if fault.Status != 0 && (fault.Status < 200 || fault.Status > 599) {
			return fmt.Errorf("%d is not the status of an answer", fault.Status)
		}
		matchers = append(matchers, &matcher{Fault: fault, path: path})
	}
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	f.faults.set = matchers
	return nil
}

func (f *faults) take(class record.Class, path string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.set {
		if m.Class != "" && m.Class != class || !m.path.MatchString(path) {
			continue
		}
		m.seen++
		if n := m.seen - m.Skip; n > 0 && (m.Count == 0 || n <= m.Count) {
			return m.Fault, true
		}
	}
	return Fault{}, false
}

// serve answers r with the fault; registry is who answers otherwise.
func (f Fault) serve(w http.ResponseWriter, r *http.Request, registry http.Handler) {
	if !sleep(r, time.Duration(f.Delay)) {
		return
	}
	if f.Status == 0 && !f.Cut && len(f.Header) == 0 {
		registry.ServeHTTP(w, r)
		return
	}
	// The whole answer is needed before it can be changed or cut in half.
	answer := httptest.NewRecorder()
	if f.Status == 0 {
		registry.ServeHTTP(answer, r)
	} else {
		answer.Header().Set("Content-Type", "application/json")
		answer.WriteHeader(f.Status)
		_, _ = io.WriteString(answer, f.Body) // cannot fail
	}
	maps.Copy(w.Header(), answer.Header())
	for name, value := range f.Header {
		w.Header().Set(name, value)
	}
	body := answer.Body
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	}
	w.WriteHeader(answer.Code)
	if f.Cut {
		cut(w, body)
	}
	_, _ = body.WriteTo(w) // an error here is a client that has gone
}

// cut sends half of body and closes the connection.
func cut(w http.ResponseWriter, body *bytes.Buffer) {
	_, _ = w.Write(body.Next(body.Len() / 2)) // as above
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// sleep waits for d and reports whether the client is still there.
func sleep(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
