package azure

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/signed"
)

// The federated credential of the application.
const (
	federatedAudience = "api://AzureADTokenExchange"
	federatedSubject  = "system:serviceaccount:sluice:sluice"
)

// audiences are what access tokens may be asked for.
var audiences = []string{"https://containerregistry.azure.net", "https://management.azure.com"}

// accessClaims are those of an access token beside the usual ones.
type accessClaims struct {
	Tenant string `json:"tid"`
	Client string `json:"appid"`
}

func (a *Azure) accessToken(client, audience string) (string, error) {
	t, err := a.entra.Sign(signed.New(a.base+"/"+Tenant+"/", client, audience, accessLife), accessClaims{Tenant, client})
	if err == nil {
		a.options.Gate.Note(client, t)
	}
	return t, err
}

// serveConfiguration is what the library asks first.
func (a *Azure) serveConfiguration(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("tenant") != Tenant {
		refuseTenant(w, r)
		return
	}
	tenant := a.base + "/" + Tenant
	answer(w, map[string]any{
		"issuer":                 tenant + "/v2.0",
		"authorization_endpoint": tenant + "/oauth2/v2.0/authorize",
		"token_endpoint":         tenant + "/oauth2/v2.0/token",
		"jwks_uri":               tenant + "/discovery/v2.0/keys",
	})
}

// serveToken is the token endpoint, for applications.
func (a *Azure) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("tenant") != Tenant {
		refuseTenant(w, r)
		return
	}
	audience, ok := strings.CutSuffix(strings.Fields(r.PostFormValue("scope") + " -")[0], "/.default")
	switch {
	case r.PostFormValue("grant_type") != "client_credentials":
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type %q.", r.PostFormValue("grant_type"))
	case r.PostFormValue("client_id") != AppClient:
		refuse(w, http.StatusUnauthorized, "unauthorized_client", 700016, "Application with identifier %q was not found in the directory %q.", r.PostFormValue("client_id"), Tenant)
	case !ok || !slices.Contains(audiences, audience):
		refuse(w, http.StatusBadRequest, "invalid_resource", 500011, "The resource principal named %s was not found in the tenant.", audience)
	case r.PostFormValue("client_assertion") != "":
		if code, err := a.checkAssertion(r); err != nil {
			refuse(w, http.StatusUnauthorized, "invalid_client", code, "%s.", err)
			return
		}
		a.answerToken(w, AppClient, audience)
	case subtle.ConstantTimeCompare([]byte(r.PostFormValue("client_secret")), []byte(a.secret)) != 1:
		refuse(w, http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided: %s.", r.PostFormValue("client_secret"))
	default:
		a.answerToken(w, AppClient, audience)
	}
}

func (a *Azure) answerToken(w http.ResponseWriter, client, audience string) {
	token, err := a.accessToken(client, audience)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	seconds := int(accessLife / time.Second)
	answer(w, map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token})
}

// checkAssertion checks the token with which a client says who it is: its own,
// signed with its certificate, or that of the OIDC issuer.
func (a *Azure) checkAssertion(r *http.Request) (code int, err error) {
	if r.PostFormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return 50027, errors.New("the client_assertion_type is not supported")
	}
	assertion := r.PostFormValue("client_assertion")
	c, err := a.certificate.verify(assertion)
	if errors.Is(err, errNotMine) {
		return a.checkFederated(assertion)
	}
	if err != nil {
		return 700027, err
	}
	if err := signed.CheckTimes(c, 24*time.Hour); err != nil {
		return 700024, err
	}
	endpoint := a.base + "/" + Tenant + "/oauth2/v2.0/token"
	if c.Issuer != AppClient || c.Subject != AppClient || !c.Audience.Contains(endpoint) {
		return 700021, fmt.Errorf("the client assertion is of %q for %q", c.Issuer, []string(c.Audience))
	}
	return 0, nil
}

func (a *Azure) checkFederated(assertion string) (code int, err error) {
	var c signed.Claims
	if err := a.issuer.Verify(assertion, &c); err != nil {
		return 700211, fmt.Errorf("the client assertion %s was refused: %w", assertion, err)
	}
	if err := signed.CheckTimes(c, 24*time.Hour); err != nil {
		return 700024, fmt.Errorf("client assertion is not within its valid time range: %w", err)
	}
	switch {
	case c.Issuer != a.base+"/issuer":
		return 700211, fmt.Errorf("no matching federated identity record found for presented assertion issuer %q", c.Issuer)
	case c.Subject != federatedSubject:
		return 700213, fmt.Errorf("no matching federated identity record found for presented assertion subject %q", c.Subject)
	case !c.Audience.Contains(federatedAudience):
		return 700212, fmt.Errorf("no matching federated identity record found for presented assertion audience %q", []string(c.Audience))
	}
	return 0, nil
}

func refuseTenant(w http.ResponseWriter, r *http.Request) {
	refuse(w, http.StatusBadRequest, "invalid_tenant", 90002, "Tenant %q not found.", r.PathValue("tenant"))
}

// refuse answers in the form of Entra ID.
func refuse(w http.ResponseWriter, status int, name string, code int, format string, args ...any) {
	const trace = " Trace ID: 55555555-5555-4555-8555-555555555555 Correlation ID: 66666666-6666-4666-8666-666666666666"
	answerStatus(w, status, map[string]any{
		"error": name, "error_codes": []int{code},
		"error_description": fmt.Sprintf("AADSTS%d: %s%s Timestamp: %s", code, fmt.Sprintf(format, args...), trace, time.Now().UTC().Format(time.DateTime)),
	})
}

// serveMetadata is the instance metadata service's way to tokens.
func (a *Azure) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Metadata") != "true" || r.Header.Get("X-Forwarded-For") != "" {
		answerStatus(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "Required metadata header not specified"})
		return
	}
	if r.FormValue("api-version") == "" {
		answerStatus(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "Required query parameter 'api-version' not specified"})
		return
	}
	a.serveManaged(w, r)
}

// serveAppService is the identity endpoint of App Service.
func (a *Azure) serveAppService(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Identity-Header")), []byte(a.header)) != 1 {
		answerStatus(w, http.StatusUnauthorized, map[string]string{"error": "unauthorized", "error_description": "X-IDENTITY-HEADER is missing or wrong"})
		return
	}
	a.serveManaged(w, r)
}

func (a *Azure) serveManaged(w http.ResponseWriter, r *http.Request) {
	knobs, _ := a.settings()
	client := Machine
	if id := r.FormValue("client_id"); id != "" {
		client = id
	}
	audience := strings.TrimSuffix(r.FormValue("resource"), "/")
	switch {
	case client == Machine && knobs.NoIdentity, client != Machine && client != UserClient:
		answerStatus(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "Identity not found"})
		return
	case !slices.Contains(audiences, audience):
		answerStatus(w, http.StatusBadRequest, map[string]string{"error": "invalid_resource", "error_description": fmt.Sprintf("AADSTS500011: The resource principal named %s was not found in the tenant.", audience)})
		return
	}
	token, err := a.accessToken(client, audience)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	now := time.Now()
	answer(w, map[string]string{
		"access_token": token, "client_id": client, "resource": audience, "token_type": "Bearer",
		"expires_in": strconv.Itoa(int(accessLife / time.Second)),
		"expires_on": strconv.FormatInt(now.Add(accessLife).Unix(), 10),
		"not_before": strconv.FormatInt(now.Unix(), 10),
	})
}
