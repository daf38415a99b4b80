package remote

import (
	"bufio"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a server may ask for: one that is wrong by years
// must not stop a source for ever.
const maxRetryAfter = time.Hour

// retryAfter reads the value of a Retry-After header: seconds, or a date. It
// is zero where there is none.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		d = date.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// tracedRetryAfter finds the last such header in the trace that git has
// written to the file at path.
func tracedRetryAfter(path string, now time.Time) time.Duration {
	f, err := os.Open(path)
	if err != nil {
		return 0 // no request was made
	}
	defer func() { _ = f.Close() }() // only read from
	var d time.Duration
	for lines := bufio.NewScanner(f); lines.Scan(); {
		_, header, found := strings.Cut(lines.Text(), "<= Recv header: ")
		name, value, _ := strings.Cut(header, ":")
		if found && strings.EqualFold(name, "retry-after") {
			d = retryAfter(value, now)
		}
	}
	return d
}
