package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sluice-gitops/sluice/sdk"
)

// failure is an error of AWS in words that tell what to do. It does not wrap
// the SDK's error, whose text may hold the session token.
type failure struct {
	kind kind
	text string
}

func (f *failure) Error() string { return f.text }

type kind int

const (
	other kind = iota
	noIdentity
	unknownIdentity // AWS does not know the credentials
	staleIdentity   // or no longer takes them
	denied
	throttled
	noRepository
	unreachable
)

// kinds tells what AWS's error codes mean. The services spell some in two ways.
var kinds = map[string]kind{
	"UnrecognizedClientException": unknownIdentity,
	"InvalidClientTokenId":        unknownIdentity,
	"InvalidSignatureException":   unknownIdentity,
	"SignatureDoesNotMatch":       unknownIdentity,
	"IncompleteSignature":         unknownIdentity,
	"MissingAuthenticationToken":  unknownIdentity,
	"InvalidIdentityToken":        unknownIdentity,
	"IDPRejectedClaim":            unknownIdentity,
	"ExpiredTokenException":       staleIdentity,
	"ExpiredToken":                staleIdentity,
	"AccessDeniedException":       denied,
	"AccessDenied":                denied,
	"RepositoryNotFoundException": noRepository,
}

// kindOf says what err, of the SDK, means.
func kindOf(err error) kind {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if _, ok := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; ok {
			return throttled
		}
		if k, ok := kinds[api.ErrorCode()]; ok {
			return k
		}
	}
	status := statusOf(err)
	switch {
	case status == http.StatusTooManyRequests:
		return throttled
	case operation(err).ServiceID == imdsService && status < http.StatusInternalServerError:
		return noIdentity // the end of the chain; other clouds have a server there, too, and it refuses
	case status == 0 && sendError(err) != nil:
		return unreachable
	}
	return other
}

// statusOf is the HTTP status of the answer; 0 if none came.
func statusOf(err error) int {
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && resp.Response != nil {
		return resp.HTTPStatusCode()
	}
	return 0
}

// imdsService is how the SDK calls the instance metadata service.
const imdsService = "ec2imds"

// stale reports whether other credentials than those of the session may help.
func stale(err error) bool {
	k := kindOf(err)
	return k == staleIdentity || k == unknownIdentity
}

// operation returns the innermost operation that failed: asking STS for
// credentials, say, when ECR should have been asked.
func operation(err error) smithy.OperationError {
	var last smithy.OperationError
	for {
		op, ok := errors.AsType[*smithy.OperationError](err)
		if !ok {
			return last
		}
		last, err = *op, op.Err
	}
}

func sendError(err error) error {
	if send, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return send.Err
	}
	return nil
}

// explain turns an error of the SDK into one for people. The call was signed
// with used, which is zero if it did not come to that.
func explain(ctx context.Context, host ecrHost, c Config, used aws.Credentials, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ECR, %s: %w", host, context.Cause(ctx))
	}
	e := explanation{host: host, config: c, used: used, err: err, op: operation(err)}
	f := &failure{kind: kindOf(err)}
	f.text = fmt.Sprintf("ECR, %s: %s", host, e.hide(e.text(f.kind)))
	switch f.kind {
	case throttled:
		return sdk.RetryAfter(f, retryAfter(err))
	case noRepository:
		return sdk.Permanent(f)
	}
	return f
}

type explanation struct {
	host   ecrHost
	config Config
	used   aws.Credentials
	err    error
	op     smithy.OperationError
}

func (e explanation) text(k kind) string {
	switch k {
	case noIdentity:
		return "no AWS credentials: " + e.tried()
	case unknownIdentity:
		if e.op.OperationName == webIdentity {
			return fmt.Sprintf("STS does not take %s (%s): %s; check its audience and the IAM OIDC provider of the cluster", e.identity(), e.code(), e.message())
		}
		return fmt.Sprintf("AWS does not take %s (%s): check that they are whole, belong to the partition %s and have not been deleted",
			e.identity(), e.code(), e.host.partition.name)
	case staleIdentity:
		return fmt.Sprintf("%s have expired, and there are no newer ones (%s): see to what renews them", e.identity(), e.code())
	case denied:
		return fmt.Sprintf("%s is denied to %s: %s; %s", e.action(), e.identity(), e.message(), e.allow())
	case throttled:
		return fmt.Sprintf("%s is throttled (%s)", e.action(), e.code())
	case noRepository:
		return fmt.Sprintf("there is no such repository (%s)", e.message())
	case unreachable:
		return fmt.Sprintf("%s cannot be asked: %s", e.op.ServiceID, withoutQuery(sendError(e.err)))
	}
	if _, cause, ok := strings.Cut(e.message(), noCredentials); ok {
		return "the AWS credentials cannot be had: " + cause
	}
	if e.op.OperationName == "" {
		return e.message()
	}
	return fmt.Sprintf("%s with %s: %s", e.action(), e.identity(), e.message())
}

// noCredentials is how the SDK begins to tell why it has none.
const noCredentials = "failed to refresh cached credentials, "

// webIdentity is the operation that trades a service account's token for the
// credentials of a role.
const webIdentity = "AssumeRoleWithWebIdentity"

// tried tells where credentials were looked for: everything in the default
// chain before the metadata service has none when that is asked.
func (e explanation) tried() string {
	var reason string
	switch status := statusOf(e.err); {
	case status == http.StatusNotFound:
		reason = "the instance has no role"
	case status != 0:
		reason = fmt.Sprintf("the instance metadata service answers with status %d, as one that is switched off, or another cloud's", status)
	case strings.Contains(e.err.Error(), "AWS_EC2_METADATA_DISABLED"):
		reason = "the instance metadata service is switched off (AWS_EC2_METADATA_DISABLED)"
	default:
		reason = "the instance metadata service does not answer, as in a pod when the instance's hop limit is 1"
	}
	files := "the shared configuration files have none"
	if e.config.Profile != "" {
		files = fmt.Sprintf("the profile %q has none", e.config.Profile)
	}
	return "AWS_ACCESS_KEY_ID and AWS_WEB_IDENTITY_TOKEN_FILE (IRSA) are not set, " + files +
		", AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod Identity) and _RELATIVE_URI (ECS) are not set, and " + reason +
		"; give the pod a role, or the plugin credentials with `plugin \"ecr\" { env = {...} }`"
}

// identity says whose credentials were used, as far as is known.
func (e explanation) identity() string {
	switch {
	case e.op.OperationName == webIdentity:
		return "the service account's token (AWS_WEB_IDENTITY_TOKEN_FILE)"
	case e.config.AssumeRole != "" && e.op.ServiceID != "STS":
		return "the credentials of " + e.config.AssumeRole
	case e.op.ServiceID == "STS": // which was asked with other credentials than those that it gives
		return "the AWS credentials that were found"
	}
	return describeSource(e.used.Source)
}

// describeSource puts the SDK's names of sources into words.
func describeSource(source string) string {
	for _, s := range []struct{ prefix, words string }{
		{"EnvConfigCredentials", "the credentials in the environment"},
		{"SharedConfigCredentials", "the credentials in the shared configuration files"},
		{"WebIdentityCredentials", "the credentials of the web identity (IRSA)"},
		{"CredentialsEndpointProvider", "the credentials of the container (EKS Pod Identity or ECS)"},
		{"EC2RoleProvider", "the credentials of the instance's role"},
		{"AssumeRoleProvider", "the credentials of the assumed role"},
		{"SSOProvider", "the credentials of AWS SSO"},
		{"ProcessProvider", "the credentials of credential_process"},
	} {
		if strings.HasPrefix(source, s.prefix) {
			return s.words
		}
	}
	return "the AWS credentials that were found"
}

// action is the failed call as IAM policies name it.
func (e explanation) action() string {
	service := strings.ToLower(strings.ReplaceAll(e.op.ServiceID, " ", "-"))
	return service + ":" + e.op.OperationName
}

// allow says how what was denied can be allowed.
func (e explanation) allow() string {
	switch action := e.action(); action {
	case "sts:AssumeRole", "sts:" + webIdentity:
		return "let the trust policy of the role allow " + action + " to it"
	case "ecr-public:GetAuthorizationToken":
		return "allow " + action + ` and sts:GetServiceBearerToken on "*" in its IAM policy`
	case "ecr:DescribeImages":
		return "allow " + action + " on the repository, in its IAM policy or, in another account, in the repository's policy too"
	default:
		return "allow " + action + ` on "*" in its IAM policy`
	}
}

func (e explanation) code() string {
	if api, ok := errors.AsType[smithy.APIError](e.err); ok {
		return api.ErrorCode()
	}
	return "no code"
}

// message is what AWS says, on one line. Of a wrong signature it shows what
// should have been signed, the session token included: that is left out.
func (e explanation) message() string {
	api, ok := errors.AsType[smithy.APIError](e.err)
	switch {
	case !ok:
		return oneLine(e.err.Error())
	case strings.Contains(strings.ToLower(api.ErrorCode()), "signature"), api.ErrorMessage() == "":
		return api.ErrorCode()
	}
	return oneLine(api.ErrorMessage())
}

// hide removes what must not be shown, wherever it came from.
func (e explanation) hide(text string) string {
	for _, value := range []string{e.used.SecretAccessKey, e.used.SessionToken} {
		if value != "" {
			text = strings.ReplaceAll(text, value, "(redacted)")
		}
	}
	return text
}

// longest is the length of a message that still helps.
const longest = 600

func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return text
}

// withoutQuery drops the query of the URL in err.
func withoutQuery(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		address, _, _ := strings.Cut(u.URL, "?")
		return fmt.Errorf("%s: %w", address, u.Err)
	}
	return err
}

// defaultDelay is how long a throttled call waits if AWS does not say: its
// buckets fill within seconds, and the SDK has tried three times.
const defaultDelay = 20 * time.Second

func retryAfter(err error) time.Duration {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response == nil {
		return defaultDelay
	}
	seconds, err := strconv.Atoi(resp.Response.Header.Get("Retry-After"))
	if err != nil || seconds <= 0 {
		return defaultDelay
	}
	return min(time.Duration(seconds)*time.Second, time.Hour)
}
