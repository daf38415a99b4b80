package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/managedidentity"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// Values of the argument identity.
const (
	automatic        = "auto"
	servicePrincipal = "service_principal"
	workloadIdentity = "workload_identity"
	managedIdentity  = "managed_identity"
)

// identity is who Sluice is for Azure: the configuration, completed from the
// environment. wanted tells that somebody has said so.
type identity struct {
	kind            string
	wanted          bool
	tenant, client  string
	secret          string
	certificate     string
	certificatePass string
	tokenFile       string
}

// identity completes the configuration.
func (c *Config) identity() identity {
	id := identity{
		kind:            c.Identity,
		wanted:          true,
		tenant:          cmp.Or(c.TenantID, os.Getenv("AZURE_TENANT_ID")),
		client:          cmp.Or(c.ClientID, os.Getenv("AZURE_CLIENT_ID")),
		secret:          c.ClientSecret.Reveal(),
		certificate:     c.CertificateFile,
		certificatePass: c.CertificatePassword.Reveal(),
		tokenFile:       c.TokenFile,
	}
	if id.secret == "" && id.certificate == "" {
		id.secret = os.Getenv("AZURE_CLIENT_SECRET")
		id.certificate = os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH")
		id.certificatePass = os.Getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD")
	}
	id.tokenFile = cmp.Or(id.tokenFile, os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
	if id.kind != automatic {
		return id
	}
	switch {
	case !c.ClientSecret.IsZero() || c.CertificateFile != "":
		id.kind = servicePrincipal
	case c.TokenFile != "":
		id.kind = workloadIdentity
	case id.secret != "" || id.certificate != "":
		id.kind = servicePrincipal
	case id.tokenFile != "":
		id.kind = workloadIdentity
	default:
		id.kind = managedIdentity
		// Anything but the metadata service is there because it was set up.
		source, err := managedidentity.GetSource()
		id.wanted = id.client != "" || err != nil || source != managedidentity.DefaultToIMDS
	}
	return id
}

// String names the identity in messages.
func (id identity) String() string {
	switch {
	case id.kind == servicePrincipal && id.secret != "":
		return fmt.Sprintf("service principal %q with a client secret", id.client)
	case id.kind == servicePrincipal:
		return fmt.Sprintf("service principal %q with the certificate %q", id.client, id.certificate)
	case id.kind == workloadIdentity:
		return fmt.Sprintf("workload identity %q with the token in %q", id.client, id.tokenFile)
	case id.client != "":
		return fmt.Sprintf("managed identity %q", id.client)
	}
	return "managed identity of the machine"
}

// check reports what is missing.
func (id identity) check() error {
	switch {
	case id.kind == managedIdentity:
		return nil
	case id.client == "":
		return errors.New("no client: set client_id or AZURE_CLIENT_ID")
	case id.tenant == "":
		return errors.New("no tenant: set tenant_id or AZURE_TENANT_ID")
	case id.kind == workloadIdentity && id.tokenFile == "":
		return errors.New("no token: set token_file or AZURE_FEDERATED_TOKEN_FILE; in AKS the pod needs the label azure.workload.identity/use=true")
	case id.kind == servicePrincipal && id.secret == "" && id.certificate == "":
		return errors.New("neither secret nor certificate: set client_secret or certificate_file, or AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH")
	}
	return nil
}

// accessToken gets a token of Microsoft Entra ID for the registries of a
// cloud. If nothing configures an identity and the machine has none, the
// error is registry.ErrAnonymous.
func (p *provider) accessToken(ctx context.Context, authority string) (string, error) {
	id := p.config.identity()
	if !id.wanted && !p.imds.found(ctx) {
		return "", fmt.Errorf("no identity is configured, and there is no metadata server of Azure here: %w", registry.ErrAnonymous)
	}
	if err := id.check(); err != nil {
		return "", fmt.Errorf("%s: %w", strings.ReplaceAll(id.kind, "_", " "), err)
	}
	x := &exchange{base: p.remote, identity: id}
	if id.kind == managedIdentity {
		x.base = p.local
	}
	token, err := p.azureToken(ctx, id, authority, x)
	if err == nil {
		return token.Token, nil
	}
	if !id.wanted && x.noIdentity() {
		p.imds.tellNone()
		return "", fmt.Errorf("no identity is configured, and the machine has none: %w", registry.ErrAnonymous)
	}
	return "", fmt.Errorf("%s: %w", id, x.explain(ctx, err))
}

// azureToken asks the SDK, with a credential that is made for this one token:
// the SDK's would go on using a certificate or token file that was replaced.
func (p *provider) azureToken(ctx context.Context, id identity, authority string, x *exchange) (azcore.AccessToken, error) {
	authority = cmp.Or(p.config.AuthorityHost, os.Getenv("AZURE_AUTHORITY_HOST"), authority)
	options := azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: authority},
		Transport: httpClient(x),
		Retry:     policy.RetryOptions{MaxRetries: -1}, // the host tries again
		Telemetry: policy.TelemetryOptions{ApplicationID: "sluice"},
	}
	credential, err := id.credential(options, !knownAuthority(authority))
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{strings.TrimSuffix(p.config.Audience, "/") + "/.default"}})
}

// credential makes the SDK's credential. private tells that the authority is
// not one of Microsoft's.
func (id identity) credential(o azcore.ClientOptions, private bool) (azcore.TokenCredential, error) {
	switch {
	case id.kind == managedIdentity:
		options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: o}
		if id.client != "" {
			options.ID = azidentity.ClientID(id.client)
		}
		return azidentity.NewManagedIdentityCredential(options)
	case id.kind == workloadIdentity:
		// The SDK's workload identity is this, and keeps the file's content
		// for ten minutes.
		return azidentity.NewClientAssertionCredential(id.tenant, id.client, func(context.Context) (string, error) {
			token, err := readFile(id.tokenFile)
			return strings.TrimSpace(string(token)), err
		}, &azidentity.ClientAssertionCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: private})
	case id.secret != "":
		return azidentity.NewClientSecretCredential(id.tenant, id.client, id.secret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: private})
	}
	content, err := readFile(id.certificate)
	if err != nil {
		return nil, err
	}
	certificates, key, err := azidentity.ParseCertificates(content, []byte(id.certificatePass))
	if err != nil {
		return nil, errors.New("the file does not hold a certificate with its key, or certificate_password is wrong")
	}
	return azidentity.NewClientCertificateCredential(id.tenant, id.client, certificates, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: private})
}

// readFile reads a file whose name stands in the message already.
func readFile(name string) ([]byte, error) {
	content, err := os.ReadFile(name)
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("the file cannot be read: %w", pe.Err)
	}
	return content, err
}
