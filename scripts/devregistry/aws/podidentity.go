package aws

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// podIdentityPath is where the agent of EKS Pod Identity gives credentials.
const podIdentityPath = "/v1/credentials"

// servePodIdentity answers for the agent. The token stands in the header as it
// is, without a scheme.
func (f *fake) servePodIdentity(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != podIdentityPath {
		http.NotFound(w, r)
		return
	}
	_, err := f.issuer.verify(r.Header.Get("Authorization"), podsAudience, f.now())
	w.Header().Set("Content-Type", "application/json")
	switch {
	case errors.Is(err, errExpired):
		podError(w, http.StatusBadRequest, "ExpiredTokenException", err.Error())
	case err != nil:
		podError(w, http.StatusBadRequest, "InvalidTokenException", err.Error())
	case f.denied("eks-auth:AssumeRoleForPodIdentity", Account, podRole):
		podError(w, http.StatusForbidden, "AccessDeniedException", "There is no association of the service account with a role")
	default:
		s := f.assumed(podRole, "eks-devregistry-sluice")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"AccessKeyId":     s.key,
			"SecretAccessKey": s.secret,
			"Token":           s.token,
			"AccountId":       Account,
			"Expiration":      s.expires.UTC().Format(time.RFC3339),
		})
	}
}

func podError(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message})
}
