package remote

import (
	"strings"
	"time"
)

// Kind tells what went wrong, and so whether trying again may help.
type Kind int

const (
	Other      Kind = iota
	NotFound        // no such repository, or no permission to see it
	Empty           // a repository without commits
	RefMissing      // the repository lacks Fault.Ref
	Denied          // credentials missing or refused
	HostKey         // the ssh server's key is unknown or has changed
	BadTLS          // the https server's certificate is not trusted
	NoHost          // the name does not resolve
	Refused         // nobody listens, or no route
	Timeout         // the server was silent for too long
	Busy            // the server asks to come back later, or has a problem of its own
	DiskFull        // no space left for the mirror
	Corrupt         // the local repository is damaged
	Raced           // a push came second: somebody else has moved the ref, or is about to
	Declined        // the server does not want this push, whoever it is from
)

// Temporary reports whether trying again without a change by a person has a
// chance.
func (k Kind) Temporary() bool {
	switch k {
	case Denied, HostKey, BadTLS, NotFound, RefMissing, Empty, Declined:
		return false
	}
	return true
}

// Fault is a failed exchange with a repository. Its text names the
// repository, says what is wrong and what to do, and holds no secret.
type Fault struct {
	Kind   Kind
	URL    string
	Ref    string        // with RefMissing, Raced and Declined
	Detail string        // what git or the server said, or what was seen
	Hint   string        // what to do; empty: the usual for Kind
	As     string        // with NotFound and Denied: the credentials that were used
	Anon   bool          // there were no credentials
	Local  bool          // it is a repository on this machine
	Push   bool          // it was about writing
	After  time.Duration // with Busy: when the server says to come back; 0: it does not
}

func (f *Fault) Error() string {
	text := f.URL + ": " + f.what()
	if f.Detail != "" {
		text += " (" + f.Detail + ")"
	}
	if h := f.hint(); h != "" {
		text += ": " + h
	}
	return text
}

func (f *Fault) what() string {
	switch f.Kind {
	case NotFound:
		return "repository not found"
	case Empty:
		return "the repository is empty"
	case RefMissing:
		return "the repository has no " + DescribeRef(f.Ref)
	case Denied:
		if f.Anon {
			return "the server asks for credentials"
		}
		return "the server refused " + f.As
	case HostKey:
		return "the ssh host key is not trusted"
	case BadTLS:
		return "the server's TLS certificate is not trusted"
	case NoHost:
		return "the host name does not resolve"
	case Refused:
		return "cannot connect"
	case Timeout:
		return "the server did not answer in time"
	case Busy:
		return "the server has a problem"
	case DiskFull:
		return "no space left on the disk that holds the mirror"
	case Corrupt:
		return "the local mirror is damaged"
	case Raced:
		return DescribeRef(f.Ref) + " has been changed by somebody else meanwhile"
	case Declined:
		return "the server refused the push to " + DescribeRef(f.Ref)
	}
	return "git failed"
}

func (f *Fault) hint() string {
	if f.Hint != "" {
		return f.Hint
	}
	switch f.Kind {
	case NotFound:
		if f.Local {
			return "check the path"
		}
		if f.Anon {
			return "check the url; a private repository needs an auth or ssh block"
		}
		return "check the url, and that " + f.As + " may " + f.verb() + " it"
	case Empty:
		return "push a first commit"
	case Denied:
		if f.Anon {
			return "add an auth or ssh block"
		}
		return "check that it is right, has not expired, and may " + f.verb() + " this repository"
	case BadTLS:
		return "if the server uses its own authority, name it with tls { ca_file }"
	case NoHost:
		return "check the url and the DNS of this machine"
	case Refused:
		return "check host and port, and that a firewall or proxy lets it through"
	case DiskFull:
		return "make room; what was there before is kept"
	}
	return ""
}

func (f *Fault) verb() string {
	if f.Push {
		return "write to"
	}
	return "read"
}

// DescribeRef names a ref as a person would.
func DescribeRef(ref string) string {
	if s, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return "branch \"" + s + "\""
	}
	if s, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "tag \"" + s + "\""
	}
	if ref == "HEAD" {
		return "default branch"
	}
	return "commit " + ref
}

// fault makes a Fault about t.
func fault(t Target, k Kind, detail string) *Fault {
	return &Fault{
		Kind:   k,
		URL:    t.Address.String(),
		Detail: scrub(detail, t.Credentials.secrets()),
		As:     t.Credentials.String(),
		Anon:   t.Credentials.IsZero(),
		Local:  t.Address.Scheme == "file",
	}
}

// scrub makes text that comes from outside fit for a message: one line, not
// long, no control characters, no secrets.
func scrub(s string, secrets []string) string {
	for _, v := range secrets {
		s = strings.ReplaceAll(s, v, "(redacted)")
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	const most = 300
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return s
}
