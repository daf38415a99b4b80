// Package gate decides who may read from the registry. It knows users that
// stay and credentials that fake clouds issue and that expire.
package gate

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

// Gate holds what opens the registry. The zero Gate opens to nobody; it is
// safe for concurrent use.
type Gate struct {
	mu     sync.RWMutex
	issued map[credential]pass
	sweep  int // size at which expired ones are removed
	record []Secret
}

// Secret is something that was handed out and that nobody may ever show.
type Secret struct {
	User  string `json:"user"` // whose password or token it is; empty for a token without one
	Value string `json:"value"`
}

// maxRecord bounds the record of what was issued.
const maxRecord = 50_000

// Note adds to the record what was handed out and does not open the registry
// by itself.
func (g *Gate) Note(user, value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.note(user, value)
}

func (g *Gate) note(user, value string) {
	if len(g.record) < maxRecord {
		g.record = append(g.record, Secret{user, value})
	}
}

// Issued returns what was handed out, the oldest first, so that a test can look
// for it where it must not be.
func (g *Gate) Issued() []Secret {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Clone(g.record)
}

// credential is a user and the hash of a password, so that comparing takes the
// same time.
type credential struct {
	user     string
	password [sha256.Size]byte
}

type pass struct {
	until time.Time // zero: for ever
	allow func(repository string) bool
}

// Issue makes user and password a credential for the next life, or for ever if
// life is 0. allow tells which repositories it may read; nil is all of them.
// Issued again, a credential gets the new life.
func (g *Gate) Issue(user, password string, life time.Duration, allow func(repository string) bool) {
	p := pass{allow: allow}
	if life > 0 {
		p.until = time.Now().Add(life)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.issued == nil {
		g.issued, g.sweep = map[credential]pass{}, minSweep
	}
	if len(g.issued) >= g.sweep {
		g.removeExpired(time.Now())
	}
	g.issued[of(user, password)] = p
	g.issued[of("", password)] = p
	g.note(user, password)
}

// minSweep keeps the cost of removing expired credentials small.
const minSweep = 1024

func (g *Gate) removeExpired(now time.Time) {
	for c, p := range g.issued {
		if p.expired(now) {
			delete(g.issued, c)
		}
	}
	g.sweep = max(minSweep, 2*len(g.issued))
}

// Check reports whether the credential has been issued, has not expired, and
// may read repository. Without a repository ("", the ping) any valid one will
// do; without a user ("") the password alone is looked up, as that of an
// identity or bearer token.
func (g *Gate) Check(user, password, repository string) bool {
	g.mu.RLock()
	p, ok := g.issued[of(user, password)]
	g.mu.RUnlock()
	if !ok || p.expired(time.Now()) {
		return false
	}
	return repository == "" || p.allow == nil || p.allow(repository)
}

// Revoke makes the credential invalid at once.
func (g *Gate) Revoke(user, password string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.issued, of(user, password))
	delete(g.issued, of("", password))
}

// RevokeAll makes every credential invalid at once.
func (g *Gate) RevokeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.issued)
}

func (p pass) expired(now time.Time) bool { return !p.until.IsZero() && now.After(p.until) }

func of(user, password string) credential {
	return credential{user, sha256.Sum256([]byte(password))}
}
