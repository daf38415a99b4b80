package front

import (
	"net/http"
	"strings"

	"github.com/sluice-gitops/sluice/scripts/devregistry/token"
)

// TokenPath is where the registry's own token endpoint is.
const TokenPath = "/token"

// serveToken implements the docker token protocol: GET with Basic credentials
// or none, and the OAuth2 form of it, POST with a password or refresh token.
// A token grants what the credential may read of what was asked for, which can
// be nothing.
func (a *Auth) serveToken(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		writeError(w, http.StatusBadRequest, "INVALID", err.Error())
		return
	}
	name, password, sent := r.BasicAuth()
	if r.Method == http.MethodPost {
		switch r.PostForm.Get("grant_type") {
		case "password":
			name, password, sent = r.PostForm.Get("username"), r.PostForm.Get("password"), true
		case "refresh_token":
			name, password, sent = "", r.PostForm.Get("refresh_token"), true
		default:
			writeError(w, http.StatusBadRequest, "UNSUPPORTED", "grant_type is neither password nor refresh_token")
			return
		}
	}
	if sent {
		if known, _ := a.check(name, password, ""); !known {
			writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
			return
		}
	}
	may := func(repository string) bool {
		if sent {
			if _, may := a.check(name, password, repository); may {
				return true
			}
		}
		return a.anonymous(repository)
	}
	answer, err := a.Issuer.Issue(name, granted(r.Form["scope"], may))
	if err != nil {
		writeError(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	a.Gate.Note(name, answer.Token)
	writeJSON(w, http.StatusOK, answer)
}

// granted returns the scopes that are allowed. Each parameter may hold several,
// separated by spaces.
func granted(scopes []string, may func(repository string) bool) []token.Access {
	var out []token.Access
	for scope := range strings.FieldsSeq(strings.Join(scopes, " ")) {
		access, err := token.ParseScope(scope)
		if err == nil && access.Type == "repository" && may(access.Name) {
			out = append(out, access)
		}
	}
	return out
}
