package google

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/signed"
)

// Grant types of the OAuth endpoint and of the Security Token Service.
const (
	grantJWT      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantRefresh  = "refresh_token"
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
)

// The OAuth client of authorized-user.json.
const (
	clientID     = "devregistry.apps.googleusercontent.com"
	clientSecret = "GOCSPX-devregistry"
)

// serveToken is the OAuth token endpoint, for keys of service accounts and for
// users.
func (g *Google) serveToken(w http.ResponseWriter, r *http.Request) {
	switch r.PostFormValue("grant_type") {
	case grantJWT:
		c, err := verified(g.account, r.PostFormValue("assertion"), time.Hour)
		switch {
		case err != nil:
			refuse(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT: %s", err)
		case c.Issuer != KeyAccount:
			refuse(w, http.StatusBadRequest, "invalid_grant", "Invalid grant: account not found")
		case !c.Audience.Contains(g.base + "/token"):
			refuse(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT: audience %q", []string(c.Audience))
		default:
			answer(w, tokenAnswer(g.issue(KeyAccount)))
		}
	case grantRefresh:
		switch {
		case r.PostFormValue("client_id") != clientID || r.PostFormValue("client_secret") != clientSecret:
			refuse(w, http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
		case r.PostFormValue("refresh_token") != g.refresh:
			refuse(w, http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
		default:
			answer(w, tokenAnswer(g.issue(UserAccount)))
		}
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: %s", r.PostFormValue("grant_type"))
	}
}

// The workload identity pool that trusts the OIDC issuer.
const (
	provider  = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/dev/providers/issuer"
	principal = "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/dev/subject/"
	subject   = "system:serviceaccount:sluice:sluice"
)

// audience is what tokens for the provider are made out to, unless it says
// otherwise.
const audience = "https:" + provider

// serveExchange is the Security Token Service.
func (g *Google) serveExchange(w http.ResponseWriter, r *http.Request) {
	for name, want := range map[string]string{
		"grant_type": grantExchange, "subject_token_type": typeJWT, "requested_token_type": typeAccess, "audience": provider,
	} {
		if got := r.PostFormValue(name); got != want {
			refuse(w, http.StatusBadRequest, "invalid_request", "Invalid value for %q: %q", name, got)
			return
		}
	}
	if r.PostFormValue("scope") == "" {
		refuse(w, http.StatusBadRequest, "invalid_scope", "No scope")
		return
	}
	c, err := verified(g.issuer, r.PostFormValue("subject_token"), 24*time.Hour)
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "invalid_grant", "The subject token %s was refused: %s", r.PostFormValue("subject_token"), err)
	case c.Issuer != g.base+"/issuer":
		refuse(w, http.StatusBadRequest, "invalid_grant", "The issuer in ID Token %q does not match the expected ones.", c.Issuer)
	case !c.Audience.Contains(audience):
		refuse(w, http.StatusBadRequest, "invalid_grant", "The audience in ID Token %q does not match the expected audience.", []string(c.Audience))
	default:
		a := tokenAnswer(g.issue(principal + c.Subject))
		a["issued_token_type"] = typeAccess
		answer(w, a)
	}
}

// serveSubject signs a token of the OIDC issuer: what a platform would put
// into the file of a workload. Life and audience can be chosen.
func (g *Google) serveSubject(w http.ResponseWriter, r *http.Request) {
	life, err := duration(r.FormValue("life"), time.Hour)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	aud := r.FormValue("audience")
	if aud == "" {
		aud = audience
	}
	token, err := g.subjectToken(aud, life)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write([]byte(token)) // an error is a client that has gone
}

func (g *Google) subjectToken(aud string, life time.Duration) (string, error) {
	return g.issuer.Sign(signed.New(g.base+"/issuer", subject, aud, life))
}

// verified returns the claims of a token that the key has signed and that is
// valid now.
func verified(k *signed.Key, token string, longest time.Duration) (signed.Claims, error) {
	var c signed.Claims
	if err := k.Verify(token, &c); err != nil {
		return signed.Claims{}, err
	}
	return c, signed.CheckTimes(c, longest)
}

// serveGenerate is generateAccessToken of the IAM API.
func (g *Google) serveGenerate(w http.ResponseWriter, r *http.Request) {
	target, method, _ := strings.Cut(r.PathValue("call"), ":")
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	caller, ok := g.accountOf(token)
	var body struct {
		Scope    []string `json:"scope"`
		Lifetime string   `json:"lifetime"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	switch {
	case method != "generateAccessToken":
		http.NotFound(w, r)
	case scheme != "Bearer" || !ok:
		refuseAPI(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
	case err != nil || len(body.Scope) == 0:
		refuseAPI(w, http.StatusBadRequest, "INVALID_ARGUMENT", "Request contains no scope.")
	case !slices.Contains([]string{ReaderAccount, LockedAccount}, target):
		refuseAPI(w, http.StatusNotFound, "NOT_FOUND", "Unknown service account")
	case target == LockedAccount || caller == ReaderAccount:
		refuseAPI(w, http.StatusForbidden, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
	default:
		token, gr := g.issue(target)
		answer(w, map[string]any{"accessToken": token, "expireTime": gr.until.UTC().Format(time.RFC3339Nano)})
	}
}

// refuseAPI answers in the form of Google's APIs.
func refuseAPI(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "status": code, "message": message}})
}
