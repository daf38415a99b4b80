package front

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-gitops/sluice/scripts/devregistry/gate"
	"github.com/sluice-gitops/sluice/scripts/devregistry/token"
)

// Mode is how the registry asks for credentials.
type Mode string

// The modes.
const (
	AuthNone  Mode = "none"  // it does not
	AuthBasic Mode = "basic" // Basic, for users
	AuthToken Mode = "token" // Bearer tokens of its own token endpoint, for users
	AuthCloud Mode = "cloud" // as the clouds challenge, for what they issue and for users
)

// ParseMode returns the mode of that name.
func ParseMode(name string) (Mode, error) {
	modes := []Mode{AuthNone, AuthBasic, AuthToken, AuthCloud}
	if !slices.Contains(modes, Mode(name)) {
		return "", fmt.Errorf("%q is not a way to authenticate; there are none, basic, token and cloud", name)
	}
	return Mode(name), nil
}

// User may read and write some repositories. The user without a name is who
// comes without credentials.
type User struct {
	Name         string   `json:"name"`
	Password     string   `json:"password"`
	Repositories []string `json:"repositories"` // globs, * stands for anything; none: all repositories
}

// AuthOptions configure an Auth.
type AuthOptions struct {
	Mode       Mode
	URL        string        // of the registry, for challenges
	Issuer     *token.Issuer // of the tokens of TokenPath
	Gate       *gate.Gate    // what the clouds have issued
	Challenges []func(repository string) string
}

// Auth decides about requests. It is safe for concurrent use.
type Auth struct {
	AuthOptions
	mode Mode

	mu    sync.RWMutex
	users []user
}

type user struct {
	User
	repositories []*regexp.Regexp
}

// NewAuth makes an Auth that knows no users.
func NewAuth(o AuthOptions) *Auth { return &Auth{AuthOptions: o, mode: o.Mode} }

// SetUsers replaces all users.
func (a *Auth) SetUsers(users []User) error {
	var known []user
	for _, u := range users {
		if strings.Contains(u.Name, ":") {
			return fmt.Errorf("user %q: a name has no colon", u.Name)
		}
		k := user{User: u}
		for _, glob := range u.Repositories {
			k.repositories = append(k.repositories, compileGlob(glob))
		}
		known = append(known, k)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users = known
	return nil
}

func compileGlob(glob string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, ".*") + "$")
}

func (u user) may(repository string) bool {
	return repository == "" || len(u.repositories) == 0 ||
		slices.ContainsFunc(u.repositories, func(g *regexp.Regexp) bool { return g.MatchString(repository) })
}

// check reports whether the name and password are known, and whether they may
// read repository. An empty name looks the password up alone.
func (a *Auth) check(name, password, repository string) (known, may bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, u := range a.users {
		if u.Name != "" && (name == u.Name || name == "") && subtle.ConstantTimeCompare([]byte(password), []byte(u.Password)) == 1 {
			return true, u.may(repository)
		}
	}
	if a.mode != AuthCloud {
		return false, false
	}
	return a.Gate.Check(name, password, ""), a.Gate.Check(name, password, repository)
}

// anonymous reports whether anybody may read repository.
func (a *Auth) anonymous(repository string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.ContainsFunc(a.users, func(u user) bool { return u.Name == "" && u.may(repository) })
}

// allow reports whether r may read repository.
func (a *Auth) allow(r *http.Request, repository string) bool {
	if a.mode == AuthNone {
		return true
	}
	if name, password, ok := r.BasicAuth(); ok && a.mode != AuthToken {
		_, may := a.check(name, password, repository)
		return may
	}
	bearer, ok := bearerOf(r)
	if !ok {
		// Registries with tokens let nobody in without one, not even to what is public.
		return a.mode == AuthBasic && a.anonymous(repository)
	}
	if a.mode == AuthBasic {
		return false
	}
	if a.Issuer.Verify(bearer, repository, actionOf(r)) {
		return true
	}
	return a.mode == AuthCloud && a.Gate.Check("", bearer, repository)
}

// readable reports whether r may read repository over a listing API, which
// takes Basic credentials, or none for what is public.
func (a *Auth) readable(r *http.Request, repository string) bool {
	if a.mode == AuthNone || a.anonymous(repository) {
		return true
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		return false
	}
	_, may := a.check(name, password, repository)
	return may
}

func bearerOf(r *http.Request) (string, bool) {
	scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return value, ok && strings.EqualFold(scheme, "bearer")
}

// deny answers 401 with the challenges of the mode.
func (a *Auth) deny(w http.ResponseWriter, r *http.Request, repository string) {
	for _, c := range a.challenges(r, repository) {
		w.Header().Add("WWW-Authenticate", c)
	}
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
}

func (a *Auth) challenges(r *http.Request, repository string) []string {
	if a.mode == AuthBasic {
		return []string{fmt.Sprintf("Basic realm=%q", a.URL)}
	}
	var out []string
	if a.mode == AuthCloud {
		for _, challenge := range a.Challenges {
			if c := challenge(repository); c != "" && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	return []string{a.bearerChallenge(r, repository)}
}

func (a *Auth) bearerChallenge(r *http.Request, repository string) string {
	c := fmt.Sprintf("Bearer realm=%q,service=%q", a.URL+TokenPath, token.Service)
	if repository != "" {
		actions := "pull"
		if actionOf(r) == "push" {
			actions = "pull,push"
		}
		c += fmt.Sprintf(",scope=%q", "repository:"+repository+":"+actions)
	}
	bearer, sent := bearerOf(r)
	switch {
	case sent && a.Issuer.Verify(bearer, "", ""):
		c += `,error="insufficient_scope"`
	case sent:
		c += `,error="invalid_token"`
	}
	return c
}

func actionOf(r *http.Request) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return "pull"
	}
	return "push"
}
