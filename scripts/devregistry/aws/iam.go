package aws

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// iam knows who owns which access key.
type iam struct {
	mu          sync.Mutex
	user, china session // long-lived keys
	sessions    map[string]session
	swept       int
	note        func(user, secret string) // of what is handed out
}

// session is an access key and whose it is.
type session struct {
	key, secret string
	token       string    // empty for the key of a user
	expires     time.Time // zero for the key of a user
	arn         string    // of the principal
	role        string    // what was assumed; empty for a user
	revoked     bool
}

func newIAM(note func(user, secret string)) *iam {
	i := &iam{sessions: map[string]session{}, note: note}
	i.rotate()
	return i
}

// keyFile is a shared credentials file with the keys of the users.
const keyFile = "credentials"

func (f *fake) rotateKeys() error {
	f.iam.rotate()
	return f.writeKeys()
}

func (f *fake) writeKeys() error {
	user, china := f.iam.users()
	return replaceFile(filepath.Join(f.options.Dir, keyFile), fmt.Sprintf(
		"[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n\n[china]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
		user.key, user.secret, china.key, china.secret))
}

func (i *iam) users() (user, china session) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.user, i.china
}

// rotate replaces the keys of the users.
func (i *iam) rotate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.user = newSession("AKIA", "arn:aws:iam::"+Account+":user/devregistry")
	i.china = newSession("AKIA", "arn:aws-cn:iam::"+Account+":user/devregistry")
}

func newSession(prefix, arn string) session {
	return session{
		key:    prefix + strings.ToUpper(random(8)),
		secret: base64.StdEncoding.EncodeToString([]byte(random(15))),
		arn:    arn,
	}
}

// sweepAt keeps the cost of forgetting expired sessions small.
const sweepAt = 1024

// assume makes temporary credentials with role.
func (i *iam) assume(role, name string, expires time.Time) session {
	arn := strings.Replace(strings.Replace(role, ":iam::", ":sts::", 1), ":role/", ":assumed-role/", 1) + "/" + name
	s := newSession("ASIA", arn)
	s.role, s.expires = role, expires
	s.token = base64.StdEncoding.EncodeToString([]byte("devregistry session " + random(120)))
	i.note(arn, s.secret)
	i.note(arn, s.token)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.swept++; i.swept%sweepAt == 0 {
		for key, old := range i.sessions {
			if expires.Sub(old.expires) > time.Hour {
				delete(i.sessions, key)
			}
		}
	}
	i.sessions[s.key] = s
	return s
}

func (i *iam) find(key string) (session, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, u := range []session{i.user, i.china} {
		if u.key == key {
			return u, true
		}
	}
	s, ok := i.sessions[key]
	return s, ok
}

// valid reports whether a session has not been revoked.
func (i *iam) valid(key string) bool {
	s, ok := i.find(key)
	return ok && !s.revoked
}

func (i *iam) revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for key, s := range i.sessions {
		s.revoked = true
		i.sessions[key] = s
	}
}
