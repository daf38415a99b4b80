package azure

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/signed"
	"github.com/sluice-gitops/sluice/scripts/devregistry/token"
)

// user is the name that goes with a refresh token.
const user = "00000000-0000-0000-0000-000000000000"

const (
	// issuerName stands in the registry's tokens.
	issuerName = "Azure Container Registry"
	// rounding is how much longer than it should a token opens the registry,
	// because its times are whole seconds.
	rounding = time.Second
)

// tokenClaims are those of the registry's tokens beside the usual ones.
type tokenClaims struct {
	Grant  string         `json:"grant_type"` // "refresh_token" or "access_token"
	Access []token.Access `json:"access,omitempty"`
}

// serveExchange gives a refresh token for an access token of Entra ID.
func (a *Azure) serveExchange(w http.ResponseWriter, r *http.Request) {
	var c signed.Claims
	var ac accessClaims
	err := a.entra.Verify(r.PostFormValue("access_token"), &c, &ac)
	if err == nil {
		err = signed.CheckTimes(c, 24*time.Hour)
	}
	knobs, life := a.settings()
	switch {
	case r.PostFormValue("grant_type") != "access_token":
		refuseRegistry(w, http.StatusBadRequest, "UNSUPPORTED", "grant_type %q", r.PostFormValue("grant_type"))
	case r.PostFormValue("service") == "":
		refuseRegistry(w, http.StatusBadRequest, "BAD_REQUEST", "no service")
	case err != nil:
		refuseRegistry(w, http.StatusUnauthorized, "UNAUTHORIZED", "aad access token %s: %s", r.PostFormValue("access_token"), err)
	case !slices.ContainsFunc(audiences, c.Audience.Contains):
		refuseRegistry(w, http.StatusUnauthorized, "UNAUTHORIZED", "audience %q", []string(c.Audience))
	case r.PostFormValue("tenant") != "" && r.PostFormValue("tenant") != ac.Tenant:
		refuseRegistry(w, http.StatusUnauthorized, "UNAUTHORIZED", "the token is of the tenant %q", ac.Tenant)
	case slices.Contains(knobs.NoRole, ac.Client):
		refuseRegistry(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization for more information.")
	default:
		refresh, err := a.sign(ac.Client, r.PostFormValue("service"), life, tokenClaims{Grant: "refresh_token"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		a.options.Gate.Issue(user, refresh, life+rounding, nil)
		answer(w, map[string]string{"refresh_token": refresh})
	}
}

// sign makes a token of the registry, whose life is rounded up.
func (a *Azure) sign(subject, service string, life time.Duration, c tokenClaims) (string, error) {
	return a.registry.Sign(signed.New(issuerName, subject, service, (life+time.Second-1).Truncate(time.Second)), c)
}

// serveRegistryToken gives an access token for a refresh token: in a form, or
// as a password. It takes what other clouds have issued, too, because this may
// be the one token endpoint that the registry names.
func (a *Azure) serveRegistryToken(w http.ResponseWriter, r *http.Request) {
	var name, secret string
	switch r.FormValue("grant_type") {
	case "refresh_token":
		secret = r.PostFormValue("refresh_token")
	case "password":
		name, secret = r.PostFormValue("username"), r.PostFormValue("password")
	default:
		name, secret, _ = r.BasicAuth()
	}
	if !a.options.Gate.Check(name, secret, "") {
		refuseRegistry(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	}
	knobs, life := a.settings()
	var granted []token.Access
	for scope := range strings.FieldsSeq(strings.Join(r.Form["scope"], " ")) {
		access, err := token.ParseScope(scope)
		if err != nil || access.Type != "repository" || !a.options.Gate.Check(name, secret, access.Name) {
			continue
		}
		access.Actions = slices.DeleteFunc(access.Actions, func(action string) bool {
			return action != "pull" && (action != "metadata_read" || knobs.NoMetadata)
		})
		granted = append(granted, access)
	}
	t, err := a.sign("", r.FormValue("service"), life, tokenClaims{Grant: "access_token", Access: granted})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.options.Gate.Issue("", t, life+rounding, func(repository string) bool { return allows(granted, repository, "pull") })
	answer(w, map[string]any{"access_token": t, "expires_in": int((life + time.Second - 1) / time.Second)})
}

func allows(granted []token.Access, repository, action string) bool {
	return slices.ContainsFunc(granted, func(a token.Access) bool {
		return a.Name == repository && slices.Contains(a.Actions, action)
	})
}

// serveTags is the part of the listing API that tells tags.
func (a *Azure) serveTags(w http.ResponseWriter, r *http.Request) {
	repository, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/acr/v1/"), "/_tags")
	if !ok {
		http.NotFound(w, r)
		return
	}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	var c tokenClaims
	err := a.registry.Verify(bearer, &c)
	if err != nil || !a.options.Gate.Check("", bearer, "") || !allows(c.Access, repository, "metadata_read") {
		refuseRegistry(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required for metadata_read")
		return
	}
	tags, err := a.options.Tags(r.Context(), repository)
	switch {
	case errors.Is(err, cloud.ErrNoRepository):
		refuseRegistry(w, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
	case err != nil:
		refuseRegistry(w, http.StatusInternalServerError, "INTERNAL", "%s", err)
	default:
		a.answerTags(w, r, repository, tags)
	}
}

func (a *Azure) answerTags(w http.ResponseWriter, r *http.Request, repository string, tags []cloud.Tag) {
	n, err := strconv.Atoi(cmp.Or(r.FormValue("n"), "100"))
	if err != nil || n < 1 {
		refuseRegistry(w, http.StatusBadRequest, "BAD_REQUEST", "n %q", r.FormValue("n"))
		return
	}
	order := r.FormValue("orderby")
	slices.SortFunc(tags, func(x, y cloud.Tag) int {
		byTime := 0
		switch order {
		case "timedesc":
			byTime = y.Pushed.Compare(x.Pushed)
		case "timeasc":
			byTime = x.Pushed.Compare(y.Pushed)
		}
		return cmp.Or(byTime, cmp.Compare(x.Name, y.Name))
	})
	if last := r.FormValue("last"); last != "" {
		tags = tags[slices.IndexFunc(tags, func(t cloud.Tag) bool { return t.Name == last })+1:]
	}
	if n < len(tags) {
		tags = tags[:n]
		q := url.Values{"last": {tags[n-1].Name}, "n": {strconv.Itoa(n)}}
		if order != "" {
			q.Set("orderby", order)
		}
		w.Header().Set("Link", fmt.Sprintf(`</acr/v1/%s/_tags?%s>; rel="next"`, repository, q.Encode()))
	}
	items := make([]map[string]any, 0, len(tags))
	for _, t := range tags {
		items = append(items, map[string]any{
			"name": t.Name, "digest": t.Digest, "signed": false,
			"createdTime": t.Pushed.UTC(), "lastUpdateTime": t.Pushed.UTC(),
		})
	}
	answer(w, map[string]any{"registry": a.options.Registry, "imageName": repository, "tags": items})
}

// refuseRegistry answers in the form of the distribution specification.
func refuseRegistry(w http.ResponseWriter, status int, code, format string, args ...any) {
	answerStatus(w, status, map[string]any{"errors": []map[string]string{{"code": code, "message": fmt.Sprintf(format, args...)}}})
}
