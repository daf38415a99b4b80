package aws

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// maxBody bounds what is read of a request.
const maxBody = 1 << 20

// call is a request whose signature was found right.
type call struct {
	service string // sts, ecr, ecr-public
	action  string // GetAuthorizationToken
	region  string
	caller  session // zero for what needs no signature
	form    url.Values
	body    []byte
}

// apiError is an error as AWS answers.
type apiError struct {
	status     int
	code       string
	message    string
	retryAfter int // seconds; 0 sends none
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// The services that the one endpoint stands for, by the prefix of X-Amz-Target.
const (
	ecrTarget    = "AmazonEC2ContainerRegistry_V20150921."
	publicTarget = "SpencerFrontendService."
)

// serveAPI answers for STS, ECR and ECR Public.
func (f *fake) serveAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", f.now().UTC().Format(http.TimeFormat))
	id := random(16)
	w.Header().Set("X-Amzn-Requestid", id)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request too large", http.StatusRequestEntityTooLarge)
		return
	}
	c, err := identify(r, body)
	var answer any
	if err == nil {
		answer, err = f.answer(r, c)
	}
	if c.service == "sts" {
		writeXML(w, c.action, id, answer, err)
		return
	}
	writeJSON(w, answer, err)
}

// identify tells which service and action are asked for.
func identify(r *http.Request, body []byte) (call, error) {
	c := call{body: body}
	target := r.Header.Get("X-Amz-Target")
	var ok bool
	if c.action, ok = strings.CutPrefix(target, ecrTarget); ok {
		c.service = "ecr"
		return c, nil
	}
	if c.action, ok = strings.CutPrefix(target, publicTarget); ok {
		c.service = "ecr-public"
		return c, nil
	}
	if target != "" {
		return c, &apiError{status: http.StatusBadRequest, code: "UnknownOperationException"}
	}
	c.service = "sts"
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return c, &apiError{status: http.StatusBadRequest, code: "MalformedQueryString", message: err.Error()}
	}
	c.form, c.action = form, form.Get("Action")
	return c, nil
}

// answer checks the signature, throttling and policies, and does what is asked.
func (f *fake) answer(r *http.Request, c call) (any, error) {
	if c.action != "AssumeRoleWithWebIdentity" { // which the token signs
		if err := f.authenticate(r, &c); err != nil {
			return nil, err
		}
	}
	name := c.service + ":" + c.action
	if t, ok := f.throttled(name); ok {
		code := "ThrottlingException"
		if c.service == "sts" {
			code = "Throttling"
		}
		return nil, &apiError{status: http.StatusBadRequest, code: code, message: "Rate exceeded", retryAfter: t.RetryAfter}
	}
	do := map[string]func(call) (any, error){
		"sts:GetCallerIdentity":            f.callerIdentity,
		"sts:AssumeRole":                   f.assumeRole,
		"sts:AssumeRoleWithWebIdentity":    f.assumeRoleWithWebIdentity,
		"ecr:GetAuthorizationToken":        f.authorizationToken,
		"ecr:DescribeImages":               f.describeImages,
		"ecr-public:GetAuthorizationToken": f.publicAuthorizationToken,
		"ecr-public:DescribeRegistries":    f.describeRegistries,
		"ecr-public:DescribeImageTags":     f.describeImageTags,
	}[name]
	if do == nil {
		return nil, &apiError{status: http.StatusBadRequest, code: "UnknownOperationException", message: name + " is not among what the fake knows"}
	}
	return do(c)
}

var regionPattern = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)

// authenticate finds out who signed the request.
func (f *fake) authenticate(r *http.Request, c *call) error {
	codes := codesOf(c.service)
	header := r.Header.Get("Authorization")
	if header == "" {
		return codes.missing
	}
	s, err := parseSigned(header)
	if err != nil {
		return codes.incomplete
	}
	who, ok := f.iam.find(s.key)
	if !ok || who.token != r.Header.Get("X-Amz-Security-Token") || partitionOf(who.arn) != regionPartition(s.region) {
		return codes.unknown
	}
	if !regionPattern.MatchString(s.region) || c.service == "ecr-public" && s.region != "us-east-1" {
		return codes.signature("Credential should be scoped to a valid region. ")
	}
	if s.service != c.service {
		return codes.signature(fmt.Sprintf("Credential should be scoped to correct service: '%s'. ", c.service))
	}
	now := f.now()
	if err := s.verify(r, c.body, who.secret, now); err != nil {
		return codes.signature(err.Error())
	}
	if who.revoked || !who.expires.IsZero() && !now.Before(who.expires) {
		return codes.expired
	}
	c.caller, c.region = who, s.region
	return nil
}

// regionPartition is the partition that a region belongs to.
func regionPartition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// codes are the errors of authentication, which STS words in its own way.
type codes struct {
	missing, incomplete, unknown, expired *apiError
	signature                             func(message string) *apiError
}

func codesOf(service string) codes {
	status, names := http.StatusBadRequest, [...]string{"MissingAuthenticationTokenException", "IncompleteSignatureException", "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"}
	if service == "sts" {
		status, names = http.StatusForbidden, [...]string{"MissingAuthenticationToken", "IncompleteSignature", "InvalidClientTokenId", "ExpiredToken", "SignatureDoesNotMatch"}
	}
	return codes{
		missing:    &apiError{status: status, code: names[0], message: "Request is missing Authentication Token"},
		incomplete: &apiError{status: status, code: names[1], message: "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters."},
		unknown:    &apiError{status: status, code: names[2], message: "The security token included in the request is invalid."},
		expired:    &apiError{status: status, code: names[3], message: "The security token included in the request is expired"},
		signature: func(message string) *apiError {
			return &apiError{status: status, code: names[4], message: message}
		},
	}
}

// authorize refuses what a policy denies. resource stands in the error only.
func (f *fake) authorize(c call, account, resource string) error {
	action := c.service + ":" + c.action
	if !f.denied(action, account, c.caller.arn) {
		return nil
	}
	message := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", c.caller.arn, action, resource, action)
	if c.service == "sts" {
		return &apiError{status: http.StatusForbidden, code: "AccessDenied", message: message}
	}
	return &apiError{status: http.StatusBadRequest, code: "AccessDeniedException", message: message}
}

func asAPIError(err error) *apiError {
	if e, ok := err.(*apiError); ok { //nolint:errorlint // made here, never wrapped
		return e
	}
	return &apiError{status: http.StatusInternalServerError, code: "ServerException", message: err.Error()}
}

func (e *apiError) header(w http.ResponseWriter) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(e.retryAfter))
	}
}

// writeJSON answers in the AWS JSON 1.1 protocol.
func writeJSON(w http.ResponseWriter, answer any, err error) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err != nil {
		e := asAPIError(err)
		e.header(w)
		w.WriteHeader(e.status)
		answer = map[string]string{"__type": e.code, "message": e.message}
	}
	_ = json.NewEncoder(w).Encode(answer) // the client has gone
}

// writeXML answers in the AWS query protocol.
func writeXML(w http.ResponseWriter, action, id string, answer any, err error) {
	const space = "https://sts.amazonaws.com/doc/2011-06-15/"
	w.Header().Set("Content-Type", "text/xml")
	if err != nil {
		e := asAPIError(err)
		e.header(w)
		w.WriteHeader(e.status)
		var text strings.Builder
		_ = xml.EscapeText(&text, []byte(e.message)) // a strings.Builder does not fail
		_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns=%q><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`, space, e.code, text.String(), id)
		return
	}
	result, err := xml.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprintf(w, `<%sResponse xmlns=%q>%s<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>`, action, space, result, id, action)
}
