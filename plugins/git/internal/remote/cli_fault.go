package remote

import (
	"errors"
	"regexp"
	"strings"
	"syscall"
)

// sign is a phrase of git, curl, ssh or a forge that gives a Kind away. The
// order counts: the first sign that stands in the output wins.
type sign struct {
	kind Kind
	text string
}

var signs = []sign{
	{DiskFull, "no space left on device"},
	{DiskFull, "disk quota exceeded"},

	{HostKey, "host key verification failed"},
	{HostKey, "remote host identification has changed"},

	{NoHost, "could not resolve host"}, // curl, and ssh's "hostname"
	{NoHost, "name or service not known"},
	{NoHost, "temporary failure in name resolution"},

	{BadTLS, "certificate verification failed"},
	{BadTLS, "ssl certificate problem"},
	{BadTLS, "ssl: no alternative certificate"},
	{BadTLS, "server certificate verification"},
	{BadTLS, "unable to get local issuer"},
	{BadTLS, "error setting certificate"},
	{BadTLS, "could not load pem client certificate"},

	{Timeout, "timed out"},
	{Timeout, "operation too slow"},
	{Timeout, "timeout, server"},

	{Refused, "connection refused"},
	{Refused, "no route to host"},
	{Refused, "network is unreachable"},
	{Refused, "failed to connect to"},
	{Refused, "couldn't connect to"},
	{Refused, "could not connect to"},

	{Denied, "authentication failed"},
	{Denied, "could not read username"},
	{Denied, "could not read password"},
	{Denied, "permission denied (publickey"},
	{Denied, "too many authentication failures"},
	{Denied, "returned error: 401"},
	{Denied, "returned error: 403"},
	{Denied, "write access denied"},

	{NotFound, "repository not found"},
	{NotFound, "project you were looking for could not be found"},
	{NotFound, "does not appear to be a git repository"},
	{NotFound, "returned error: 404"},
	{NotFound, "returned error: 410"},
	{NotFound, "no such repository"},
	{NotFound, "not a git repository"},

	{Busy, "returned error: 429"},
	{Busy, "returned error: 5"},
	{Busy, "the remote end hung up"},
	{Busy, "connection reset by peer"},
	{Busy, "early eof"},
	{Busy, "unexpected disconnect"},

	{Corrupt, "bad object"},
	{Corrupt, "is corrupt"},
	{Corrupt, "object file"},
	{Corrupt, "unable to read tree"},
	{Corrupt, "unable to read sha1 file"},
	{Corrupt, "missing blob"},
	{Corrupt, "missing tree"},
	{Corrupt, "missing commit"},
	{Corrupt, "did not send all necessary objects"},
	{Corrupt, "inflate:"},
	{Corrupt, "packfile"},
	{Corrupt, "bad config"},
	{Corrupt, ".lock': file exists"},
}

var (
	missingRef    = regexp.MustCompile(`couldn't find remote ref (\S+)`)
	missingCommit = regexp.MustCompile(`(?:not our ref|no such remote ref|unadvertised object) ([0-9a-f]{40,64})`)
	missingRepo   = regexp.MustCompile(`fatal: repository '[^']*' (?:not found|does not exist)`)
)

// explainFetch is the explainer of all that only reads.
func explainFetch(t Target, _, stderr string) *Fault { return classify(t, stderr) }

// classify makes a Fault of what a failed git has written to standard error.
func classify(t Target, stderr string) *Fault {
	for _, re := range []*regexp.Regexp{missingRef, missingCommit} {
		if m := re.FindStringSubmatch(stderr); m != nil {
			f := fault(t, RefMissing, "")
			f.Ref = m[1]
			return f
		}
	}
	if missingRepo.MatchString(stderr) {
		return fault(t, NotFound, "")
	}
	lower := strings.ToLower(stderr)
	for _, s := range signs {
		if s.kind == Corrupt && strings.Contains(lower, "remote: ") {
			continue // the server's objects, not ours
		}
		if !strings.Contains(lower, s.text) {
			continue
		}
		if s.kind == Denied || s.kind == NotFound || s.kind == DiskFull {
			return fault(t, s.kind, "") // the words of the Kind say it all
		}
		return fault(t, s.kind, telling(stderr, s.text))
	}
	return fault(t, Other, telling(stderr, ""))
}

// access is how git starts its account of a failed request.
var access = regexp.MustCompile(`^unable to access '[^']*': `)

// telling picks the line of git's output that says most: the one with text,
// else the first fatal one, else the last.
func telling(stderr, text string) string {
	return access.ReplaceAllString(tellingLine(stderr, text), "")
}

func tellingLine(stderr, text string) string {
	var fatal, last string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if text != "" && strings.Contains(strings.ToLower(line), text) {
			return strings.TrimPrefix(line, "fatal: ")
		}
		if fatal == "" && strings.HasPrefix(line, "fatal: ") {
			fatal = strings.TrimPrefix(line, "fatal: ")
		}
		if line != "" {
			last = line
		}
	}
	if fatal != "" {
		return fatal
	}
	if last != "" {
		return last
	}
	return "no output"
}

// asFault makes a Fault of an error of this machine.
func asFault(t Target, err error) error {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault(t, DiskFull, "")
	}
	return fault(t, Other, err.Error())
}
