package aws

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"
)

type callerIdentityResult struct {
	XMLName xml.Name `xml:"GetCallerIdentityResult"`
	Arn     string
	UserId  string
	Account string
}

func (f *fake) callerIdentity(c call) (any, error) {
	return callerIdentityResult{Arn: c.caller.arn, UserId: c.caller.key, Account: accountOf(c.caller.arn)}, nil
}

// temporary is how STS writes the credentials of a session.
type temporary struct {
	AccessKeyId     string
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

func (s session) temporary() temporary {
	return temporary{s.key, s.secret, s.token, s.expires.UTC().Format(time.RFC3339)}
}

type assumedRoleUser struct {
	AssumedRoleId string
	Arn           string
}

type assumeRoleResult struct {
	XMLName         xml.Name `xml:"AssumeRoleResult"`
	AssumedRoleUser assumedRoleUser
	Credentials     temporary
}

var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

func (f *fake) assumeRole(c call) (any, error) {
	role, name := c.form.Get("RoleArn"), c.form.Get("RoleSessionName")
	if !sessionName.MatchString(name) {
		return nil, &apiError{status: http.StatusBadRequest, code: "ValidationError", message: "Value at 'roleSessionName' failed to satisfy constraint"}
	}
	knobs := f.current()
	roles := slices.Concat(knobs.Trust, builtIn)
	i := slices.IndexFunc(roles, func(t Trust) bool { return t.Role == role })
	refused := &apiError{status: http.StatusForbidden, code: "AccessDenied",
		message: fmt.Sprintf("User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.caller.arn, role)}
	if i < 0 {
		return nil, refused
	}
	trust := roles[i]
	if trust.ExternalID != "" && trust.ExternalID != c.form.Get("ExternalId") ||
		trust.Account != "" && trust.Account != accountOf(c.caller.arn) ||
		partitionOf(role) != partitionOf(c.caller.arn) {
		return nil, refused
	}
	if err := f.authorize(c, accountOf(role), role); err != nil {
		return nil, err
	}
	s := f.iam.assume(role, name, f.now().Add(knobs.SessionLife.Duration))
	return assumeRoleResult{AssumedRoleUser: assumedRoleUser{"AROA:" + name, s.arn}, Credentials: s.temporary()}, nil
}

type webIdentityResult struct {
	XMLName                     xml.Name `xml:"AssumeRoleWithWebIdentityResult"`
	AssumedRoleUser             assumedRoleUser
	Credentials                 temporary
	SubjectFromWebIdentityToken string
	Audience                    string
	Provider                    string
}

func (f *fake) assumeRoleWithWebIdentity(c call) (any, error) {
	role, name := c.form.Get("RoleArn"), c.form.Get("RoleSessionName")
	token, err := f.issuer.verify(c.form.Get("WebIdentityToken"), stsAudience, f.now())
	switch {
	case errors.Is(err, errExpired):
		return nil, &apiError{status: http.StatusBadRequest, code: "ExpiredTokenException", message: err.Error()}
	case err != nil:
		return nil, &apiError{status: http.StatusBadRequest, code: "InvalidIdentityToken", message: err.Error()}
	case role != webRole || token.Subject != subject || f.denied("sts:AssumeRoleWithWebIdentity", accountOf(role), ""):
		return nil, &apiError{status: http.StatusForbidden, code: "AccessDenied", message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
	case !sessionName.MatchString(name):
		return nil, &apiError{status: http.StatusBadRequest, code: "ValidationError", message: "Value at 'roleSessionName' failed to satisfy constraint"}
	}
	s := f.iam.assume(role, name, f.now().Add(f.current().SessionLife.Duration))
	return webIdentityResult{
		AssumedRoleUser:             assumedRoleUser{"AROA:" + name, s.arn},
		Credentials:                 s.temporary(),
		SubjectFromWebIdentityToken: token.Subject,
		Audience:                    token.Audience,
		Provider:                    issuerURL,
	}, nil
}
