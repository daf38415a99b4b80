package aws

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// signed is what the Authorization header of a request says.
type signed struct {
	key, date, region, service string
	headers                    []string
	signature                  string
}

const (
	algorithm   = "AWS4-HMAC-SHA256"
	timeFormat  = "20060102T150405Z"
	maxClockOff = 5 * time.Minute
)

var errIncomplete = errors.New("the Authorization header is incomplete")

// words are an error as AWS words it.
type words string

func (w words) Error() string { return string(w) }

// parseSigned reads an Authorization header.
func parseSigned(header string) (signed, error) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return signed{}, errIncomplete
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" || fields["SignedHeaders"] == "" || fields["Signature"] == "" {
		return signed{}, errIncomplete
	}
	return signed{
		key: scope[0], date: scope[1], region: scope[2], service: scope[3],
		headers:   strings.Split(fields["SignedHeaders"], ";"),
		signature: fields["Signature"],
	}, nil
}

// verify computes the signature of r anew. An error is what AWS would say.
func (s signed) verify(r *http.Request, body []byte, secret string, now time.Time) error {
	at, err := time.Parse(timeFormat, r.Header.Get("X-Amz-Date"))
	if err != nil {
		return words("Date must be in ISO-8601 'basic format'.")
	}
	if at.Format("20060102") != s.date {
		return words(fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'", s.date, at.Format("20060102")))
	}
	switch stamp := at.Format(timeFormat); {
	case at.Before(now.Add(-maxClockOff)):
		limit := now.Add(-maxClockOff)
		return words(fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)", stamp, limit.UTC().Format(timeFormat), now.UTC().Format(timeFormat)))
	case at.After(now.Add(maxClockOff)):
		limit := now.Add(maxClockOff)
		return words(fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)", stamp, limit.UTC().Format(timeFormat), now.UTC().Format(timeFormat)))
	}
	for _, needed := range s.mustSign(r) {
		if !slices.Contains(s.headers, needed) {
			return words(fmt.Sprintf("'%s' must be a 'SignedHeader' in the AWS Authorization.", needed))
		}
	}
	canonical := s.canonical(r, body)
	toSign := s.stringToSign(canonical, at)
	if !hmac.Equal([]byte(s.sign(toSign, secret)), []byte(s.signature)) {
		return words(fmt.Sprintf("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n"+
			"The Canonical String for this request should have been\n'%s'\n\nThe String-to-Sign should have been\n'%s'\n", canonical, toSign))
	}
	return nil
}

// mustSign are the headers that the signature has to cover.
func (s signed) mustSign(r *http.Request) []string {
	needed := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			needed = append(needed, name)
		}
	}
	return needed
}

func (s signed) canonical(r *http.Request, body []byte) string {
	var headers strings.Builder
	for _, name := range s.headers {
		fmt.Fprintf(&headers, "%s:%s\n", name, headerValue(r, name))
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	path = strings.ReplaceAll(escape(path), "%2F", "/") // encoded twice, as all services but S3 want it
	sum := sha256.Sum256(body)
	return strings.Join([]string{r.Method, path, canonicalQuery(r.URL.Query()), headers.String(), strings.Join(s.headers, ";"), hex.EncodeToString(sum[:])}, "\n")
}

func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return fmt.Sprint(r.ContentLength)
	}
	var values []string
	for _, v := range r.Header.Values(name) {
		values = append(values, strings.Join(strings.Fields(v), " "))
	}
	return strings.Join(values, ",")
}

func canonicalQuery(query url.Values) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values := slices.Sorted(slices.Values(query[name]))
		for _, v := range values {
			parts = append(parts, escape(name)+"="+escape(v))
		}
	}
	return strings.Join(parts, "&")
}

// escape is the URI encoding of the signature: everything but letters, digits
// and -_.~ in hexadecimal.
func escape(s string) string {
	return strings.NewReplacer("+", "%20", "%7E", "~").Replace(url.QueryEscape(s))
}

func (s signed) stringToSign(canonical string, at time.Time) string {
	sum := sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{s.date, s.region, s.service, "aws4_request"}, "/")
	return strings.Join([]string{algorithm, at.Format(timeFormat), scope, hex.EncodeToString(sum[:])}, "\n")
}

func (s signed) sign(toSign, secret string) string {
	key := []byte("AWS4" + secret)
	for _, step := range []string{s.date, s.region, s.service, "aws4_request", toSign} {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(step))
		key = m.Sum(nil)
	}
	return hex.EncodeToString(key)
}
